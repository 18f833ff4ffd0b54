/* specimen: TCP sockets that listen at one port, one over IPv4 and one over IPv6 only | group: tcp | needs: nothing */
#include "tcp.h"

int main(void) {
    int six, four, port;
    for (;;) { /* until a port is free in both families: somebody else may have it in one */
        six = tcp_socket(AF_INET6);
        tcp_set(six, IPPROTO_IPV6, IPV6_V6ONLY, 1);
        tcp_bind(six, tcp_six("::", 0));
        port = tcp_port(tcp_name(six));
        struct tcp_address address = tcp_four("0.0.0.0", port);
        four = tcp_socket(AF_INET);
        if (bind(four, &address.any, address.size) == 0) break;
        specimen_equal(errno, EADDRINUSE);
        close(four);
        close(six);
    }
    specimen_equal(listen(six, 5), 0);
    specimen_equal(listen(four, 6), 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(tcp_get(six, IPPROTO_IPV6, IPV6_V6ONLY), 1);
    struct tcp_ends ends = {.client = tcp_socket(AF_INET), .server = -1};
    tcp_connect(ends.client, tcp_four("127.0.0.1", port));
    ends.server = tcp_accept(four);
    tcp_pass_both(ends);
    ends.client = tcp_socket(AF_INET6);
    tcp_connect(ends.client, tcp_six("::1", port));
    ends.server = tcp_accept(six);
    tcp_pass_both(ends);
    return specimen_pass();
}
