/* specimen: TCP socket that listens, whose options all that are accepted inherit | group: tcp | needs: nothing */
#include "tcp.h"

int main(void) {
    int listener = tcp_socket(AF_INET);
    tcp_set(listener, SOL_SOCKET, SO_REUSEADDR, 1);
    tcp_set(listener, SOL_SOCKET, SO_KEEPALIVE, 1);
    tcp_set(listener, IPPROTO_TCP, TCP_NODELAY, 1);
    tcp_set(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, 3);
    tcp_set(listener, IPPROTO_TCP, TCP_SAVE_SYN, 1);
    tcp_bind(listener, tcp_four("127.0.0.1", 0));
    specimen_equal(listen(listener, 9), 0);
    specimen_equal(fcntl(listener, F_SETFL, O_NONBLOCK), 0);
    int deferred = tcp_get(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT);

    specimen_ready();
    specimen_wait();

    specimen_equal(tcp_get(listener, SOL_SOCKET, SO_REUSEADDR), 1);
    specimen_equal(tcp_get(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT), deferred);
    specimen_equal(tcp_get(listener, IPPROTO_TCP, TCP_SAVE_SYN), 1);
    specimen_equal(files_flags(listener), O_RDWR | O_NONBLOCK);
    files_fails(accept(listener, NULL, NULL), EAGAIN);
    int client = tcp_socket(AF_INET);
    tcp_connect(client, tcp_name(listener));
    files_fails(accept(listener, NULL, NULL), EAGAIN);
    files_write(client, 1, 1, 0);
    struct pollfd entry = {.fd = listener, .events = POLLIN};
    specimen_equal(poll(&entry, 1, 10000), 1);
    int server = tcp_accept(listener);
    specimen_equal(tcp_get(server, SOL_SOCKET, SO_KEEPALIVE), 1);
    specimen_equal(tcp_get(server, IPPROTO_TCP, TCP_NODELAY), 1);
    files_expect(server, 1, 1, 0);
    return specimen_pass();
}
