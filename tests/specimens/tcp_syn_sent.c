/* specimen: TCP connection that nobody has answered yet (SYN_SENT) | group: tcp | needs: root */
#include "tcp.h"

int main(void) {
    /* A backlog that is full answers no more. */
    int listener = tcp_listen(tcp_four("127.0.0.1", 0), 0);
    struct tcp_address address = tcp_name(listener);
    int first = tcp_socket(AF_INET), second = tcp_socket(AF_INET);
    tcp_connect(first, address);
    specimen_equal(fcntl(second, F_SETFL, O_NONBLOCK), 0);
    files_fails(connect(second, &address.any, address.size), EINPROGRESS);
    struct timespec pause = {.tv_nsec = 50000000};
    nanosleep(&pause, NULL);
    specimen_equal(tcp_state(second), TCP_STATE_SYN_SENT);
    struct tcp_address mine = tcp_name(second);

    specimen_ready();
    specimen_wait();

    specimen_equal(tcp_state(second), TCP_STATE_SYN_SENT);
    tcp_same(tcp_name(second), mine);
    struct pollfd entry = {.fd = listener, .events = POLLIN};
    specimen_equal(poll(&entry, 1, 10000), 1);
    close(tcp_accept(listener));
    entry = (struct pollfd){.fd = second, .events = POLLOUT};
    specimen_equal(poll(&entry, 1, 20000), 1);
    specimen_equal(tcp_get(second, SOL_SOCKET, SO_ERROR), 0);
    tcp_same(tcp_other(second), address);
    return specimen_pass();
}
