/* specimen: TCP connection that one end has shut for writing, the other end still sends | group: tcp | needs: root */
#include "tcp.h"

int main(void) {
    struct tcp_ends ends = tcp_pair_four();
    files_write(ends.client, 500, 1, 0);
    files_write(ends.server, 300, 2, 0);
    specimen_equal(shutdown(ends.client, SHUT_WR), 0);
    tcp_await_state(ends.client, TCP_STATE_FIN_WAIT2);
    tcp_await_state(ends.server, TCP_STATE_CLOSE_WAIT);

    specimen_ready();
    specimen_wait();

    specimen_equal(tcp_state(ends.client), TCP_STATE_FIN_WAIT2);
    specimen_equal(tcp_state(ends.server), TCP_STATE_CLOSE_WAIT);
    files_fails(send(ends.client, "x", 1, MSG_NOSIGNAL), EPIPE);
    specimen_check(files_poll(ends.server) & POLLIN);
    files_expect(ends.server, 500, 1, 0);
    tcp_expect_end(ends.server);
    files_expect(ends.client, 300, 2, 0);
    tcp_pass(ends.server, ends.client, 4000, 5, 0);
    close(ends.server);
    tcp_expect_end(ends.client);
    return specimen_pass();
}
