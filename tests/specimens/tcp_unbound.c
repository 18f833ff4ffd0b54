/* specimen: TCP socket of which nothing was made yet, with options | group: tcp | needs: nothing */
#include "tcp.h"

int main(void) {
    int fd = tcp_socket(AF_INET);
    tcp_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    tcp_set(fd, IPPROTO_TCP, TCP_MAXSEG, 700);
    int listener = tcp_listen(tcp_four("127.0.0.1", 0), 1);

    specimen_ready();
    specimen_wait();

    specimen_equal(tcp_state(fd), TCP_STATE_CLOSE);
    specimen_equal(tcp_port(tcp_name(fd)), 0);
    specimen_equal(tcp_get(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    specimen_equal(tcp_get(fd, IPPROTO_TCP, TCP_MAXSEG), 700);
    specimen_equal(files_poll(fd), POLLOUT | POLLHUP);
    tcp_pass_both(tcp_pair_by(listener, fd));
    return specimen_pass();
}
