/* specimen: TCP connection that was refused, the error not fetched | group: tcp | needs: nothing */
#include "tcp.h"

int main(void) {
    int deaf = tcp_socket(AF_INET), fd = tcp_socket(AF_INET);
    tcp_bind(deaf, tcp_four("127.0.0.1", 0));
    specimen_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    struct tcp_address address = tcp_name(deaf);
    files_fails(connect(fd, &address.any, address.size), EINPROGRESS);
    tcp_await_state(fd, TCP_STATE_CLOSE);

    specimen_ready();
    specimen_wait();

    specimen_equal(files_flags(fd), O_RDWR | O_NONBLOCK);
    specimen_check(files_poll(fd) & POLLERR);
    specimen_equal(tcp_get(fd, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
    return specimen_pass();
}
