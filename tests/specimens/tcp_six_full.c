/* specimen: TCP connection over IPv6 whose queues are full, and flow at once when they are read | group: tcp | needs: root */
#include "tcp.h"

int main(void) {
    int listener = tcp_listen(tcp_six("::1", 0), 1);
    int client = tcp_socket(AF_INET6);
    tcp_set(listener, SOL_SOCKET, SO_RCVBUF, 50000);
    struct tcp_ends ends = tcp_pair_by(listener, client);
    size_t total = tcp_fill(ends.client, 3, 0);

    specimen_ready();
    specimen_wait();

    tcp_expect_flow(ends.server, total, 3);
    tcp_pass(ends.client, ends.server, 1000, 4, 0);
    tcp_pass(ends.server, ends.client, 1000, 5, 0);
    return specimen_pass();
}
