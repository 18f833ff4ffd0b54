/* specimen: TCP connection shut for writing behind bytes that wait to be sent (FIN_WAIT1) | group: tcp | needs: root */
#include "tcp.h"

int main(void) {
    int listener = tcp_listen(tcp_four("127.0.0.1", 0), 1);
    int client = tcp_socket(AF_INET);
    tcp_set(listener, SOL_SOCKET, SO_RCVBUF, 50000);
    struct tcp_ends ends = tcp_pair_by(listener, client);
    size_t total = tcp_fill(ends.client, 3, 0);
    specimen_equal(shutdown(ends.client, SHUT_WR), 0);
    specimen_equal(tcp_state(ends.client), TCP_STATE_FIN_WAIT1);

    specimen_ready();
    specimen_wait();

    specimen_equal(tcp_state(ends.client), TCP_STATE_FIN_WAIT1);
    files_fails(send(ends.client, "x", 1, MSG_NOSIGNAL), EPIPE);
    tcp_expect_flow(ends.server, total, 3);
    tcp_expect_end(ends.server);
    tcp_pass(ends.server, ends.client, 1000, 4, 0);
    return specimen_pass();
}
