/* specimen: TCP connection that both ends have shut behind bytes (CLOSING) | group: tcp | needs: root */
#include "tcp.h"

int main(void) {
    int listener = tcp_listen(tcp_four("127.0.0.1", 0), 1);
    int client = tcp_socket(AF_INET);
    tcp_set(listener, SOL_SOCKET, SO_RCVBUF, 50000);
    struct tcp_ends ends = tcp_pair_by(listener, client);
    size_t total = tcp_fill(ends.client, 3, 0);
    specimen_equal(shutdown(ends.client, SHUT_WR), 0);
    specimen_equal(shutdown(ends.server, SHUT_WR), 0);
    tcp_await_state(ends.client, TCP_STATE_CLOSING);

    specimen_ready();
    specimen_wait();

    specimen_equal(tcp_state(ends.client), TCP_STATE_CLOSING);
    tcp_expect_end(ends.client);
    files_expect(ends.server, total, 3, 0);
    tcp_expect_end(ends.server);
    return specimen_pass();
}
