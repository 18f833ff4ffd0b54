/* specimen: TCP connection with the options of socket(7) and ip(7) | group: tcp | needs: root */
#include "tcp.h"

static const struct { int level, name, value; } OPTIONS[] = {
    {SOL_SOCKET, SO_REUSEADDR, 1}, {SOL_SOCKET, SO_KEEPALIVE, 1}, {SOL_SOCKET, SO_OOBINLINE, 1},
    {SOL_SOCKET, SO_RCVLOWAT, 5}, {SOL_SOCKET, SO_MARK, 99}, {SOL_SOCKET, SO_TIMESTAMP, 1},
    {IPPROTO_IP, IP_TOS, 0x10}, {IPPROTO_IP, IP_TTL, 33}, {IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT},
    {IPPROTO_IP, IP_RECVTTL, 1}, {SOL_SOCKET, SO_PRIORITY, 3},
};

int main(void) {
    struct tcp_ends ends = tcp_pair_four();
    for (size_t i = 0; i < sizeof OPTIONS / sizeof *OPTIONS; i++)
        tcp_set(ends.client, OPTIONS[i].level, OPTIONS[i].name, OPTIONS[i].value);
    struct linger linger = {.l_onoff = 1, .l_linger = 42};
    specimen_equal(setsockopt(ends.client, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    struct timeval limit = {.tv_sec = 30};
    specimen_equal(setsockopt(ends.client, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);

    specimen_ready();
    specimen_wait();

    for (size_t i = 0; i < sizeof OPTIONS / sizeof *OPTIONS; i++)
        specimen_equal(tcp_get(ends.client, OPTIONS[i].level, OPTIONS[i].name), OPTIONS[i].value);
    specimen_equal(tcp_get(ends.server, SOL_SOCKET, SO_REUSEADDR), 0);
    socklen_t size = sizeof linger;
    memset(&linger, 0, sizeof linger), memset(&limit, 0, sizeof limit);
    specimen_equal(getsockopt(ends.client, SOL_SOCKET, SO_LINGER, &linger, &size), 0);
    specimen_equal(linger.l_onoff, 1);
    specimen_equal(linger.l_linger, 42);
    size = sizeof limit;
    specimen_equal(getsockopt(ends.client, SOL_SOCKET, SO_RCVTIMEO, &limit, &size), 0);
    specimen_equal(limit.tv_sec, 30);
    tcp_pass_both(ends);
    return specimen_pass();
}
