/* specimen: TCP connection over IPv6 with the options of ipv6(7) | group: tcp | needs: root */
#include "tcp.h"

static const struct { int name, value; } OPTIONS[] = {
    {IPV6_TCLASS, 0x20}, {IPV6_UNICAST_HOPS, 44}, {IPV6_RECVHOPLIMIT, 1}, {IPV6_RECVERR, 1}, {IPV6_V6ONLY, 1},
};

int main(void) {
    int listener = tcp_listen(tcp_six("::1", 0), 1), client = tcp_socket(AF_INET6);
    for (size_t i = 0; i < sizeof OPTIONS / sizeof *OPTIONS; i++)
        tcp_set(client, IPPROTO_IPV6, OPTIONS[i].name, OPTIONS[i].value);
    struct tcp_ends ends = tcp_pair_by(listener, client);

    specimen_ready();
    specimen_wait();

    for (size_t i = 0; i < sizeof OPTIONS / sizeof *OPTIONS; i++)
        specimen_equal(tcp_get(client, IPPROTO_IPV6, OPTIONS[i].name), OPTIONS[i].value);
    tcp_pass_both(ends);
    return specimen_pass();
}
