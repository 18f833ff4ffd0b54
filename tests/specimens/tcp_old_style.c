/* specimen: TCP connection with a window too small to be scaled | group: tcp | needs: root */
#include "tcp.h"

int main(void) {
    int listener = tcp_listen(tcp_four("127.0.0.1", 0), 1), client = tcp_socket(AF_INET);
    tcp_set(client, SOL_SOCKET, SO_RCVBUF, 2304);
    tcp_set(client, IPPROTO_TCP, TCP_WINDOW_CLAMP, 3000);
    tcp_set(listener, SOL_SOCKET, SO_SNDBUF, 10000);
    struct tcp_ends ends = tcp_pair_by(listener, client);
    size_t total = tcp_fill(ends.server, 2, 0);
    struct tcp_info before = tcp_info(ends.client);

    specimen_ready();
    specimen_wait();

    struct tcp_info after = tcp_info(ends.client);
    specimen_equal(after.tcpi_rcv_wscale, before.tcpi_rcv_wscale);
    files_expect(ends.client, total, 2, 0);
    tcp_pass_both(ends);
    return specimen_pass();
}
