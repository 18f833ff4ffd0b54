/* specimen: TCP connection with the options of tcp(7) | group: tcp | needs: root */
#include "tcp.h"

static const struct { int name, value; } OPTIONS[] = {
    {TCP_NODELAY, 1}, {TCP_KEEPIDLE, 77}, {TCP_KEEPINTVL, 7}, {TCP_KEEPCNT, 5}, {TCP_SYNCNT, 4}, {TCP_LINGER2, 17},
    {TCP_USER_TIMEOUT, 123456}, {TCP_NOTSENT_LOWAT, 54321}, {TCP_INQ, 1}, {TCP_THIN_LINEAR_TIMEOUTS, 1},
};

int main(void) {
    struct tcp_ends ends = tcp_pair_four();
    for (size_t i = 0; i < sizeof OPTIONS / sizeof *OPTIONS; i++)
        tcp_set(ends.client, IPPROTO_TCP, OPTIONS[i].name, OPTIONS[i].value);
    tcp_set(ends.client, SOL_SOCKET, SO_KEEPALIVE, 1);
    int others = tcp_get(ends.server, IPPROTO_TCP, TCP_KEEPIDLE);

    specimen_ready();
    specimen_wait();

    for (size_t i = 0; i < sizeof OPTIONS / sizeof *OPTIONS; i++)
        specimen_equal(tcp_get(ends.client, IPPROTO_TCP, OPTIONS[i].name), OPTIONS[i].value);
    specimen_equal(tcp_get(ends.client, SOL_SOCKET, SO_KEEPALIVE), 1);
    specimen_equal(tcp_get(ends.server, IPPROTO_TCP, TCP_KEEPIDLE), others);
    specimen_equal(tcp_get(ends.server, IPPROTO_TCP, TCP_NODELAY), 0);
    tcp_pass_both(ends);
    return specimen_pass();
}
