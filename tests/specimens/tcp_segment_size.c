/* specimen: TCP connection whose segments are small | group: tcp | needs: root */
#include "tcp.h"

int main(void) {
    int listener = tcp_listen(tcp_four("127.0.0.1", 0), 1), client = tcp_socket(AF_INET);
    tcp_set(client, IPPROTO_TCP, TCP_MAXSEG, 600);
    struct tcp_ends ends = tcp_pair_by(listener, client);
    tcp_pass_both(ends);
    int size = tcp_get(ends.server, IPPROTO_TCP, TCP_MAXSEG);
    struct tcp_info before = tcp_info(ends.client);

    specimen_ready();
    specimen_wait();

    specimen_equal(tcp_get(ends.server, IPPROTO_TCP, TCP_MAXSEG), size);
    struct tcp_info after = tcp_info(ends.client);
    specimen_equal(after.tcpi_options & 7, before.tcpi_options & 7);
    specimen_equal(after.tcpi_snd_wscale, before.tcpi_snd_wscale);
    specimen_equal(after.tcpi_rcv_wscale, before.tcpi_rcv_wscale);
    tcp_pass_both(ends);
    return specimen_pass();
}
