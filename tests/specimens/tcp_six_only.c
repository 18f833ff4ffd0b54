/* specimen: TCP sockets that listen at one port, one over IPv4 and one over IPv6 only | group: tcp | needs: nothing */
#include "tcp.h"

int main(void) {
    int six = tcp_socket(AF_INET6);
    tcp_set(six, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    tcp_bind(six, tcp_six("::", 0));
    specimen_equal(listen(six, 5), 0);
    int port = tcp_port(tcp_name(six));
    int four = tcp_listen(tcp_four("0.0.0.0", port), 6);

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
