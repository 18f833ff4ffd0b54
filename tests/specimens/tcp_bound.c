/* specimen: TCP socket that is bound, but neither listens nor is connected | group: tcp | needs: nothing */
#include "tcp.h"

int main(void) {
    int fd = tcp_socket(AF_INET);
    tcp_bind(fd, tcp_four("127.0.0.1", 0));
    struct tcp_address address = tcp_name(fd);

    specimen_ready();
    specimen_wait();

    tcp_same(tcp_name(fd), address);
    specimen_equal(tcp_state(fd), TCP_STATE_CLOSE);
    int other = tcp_socket(AF_INET);
    files_fails(bind(other, &address.any, address.size), EADDRINUSE);
    specimen_equal(listen(fd, 1), 0);
    tcp_pass_both(tcp_pair_by(fd, other));
    return specimen_pass();
}
