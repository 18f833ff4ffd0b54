/* specimen: TCP connection over IPv6, half closed | group: tcp | needs: root */
#include "tcp.h"

int main(void) {
    struct tcp_ends ends = tcp_pair(tcp_six("::1", 0));
    files_write(ends.client, 5000, 1, 0);
    specimen_equal(shutdown(ends.client, SHUT_WR), 0);
    tcp_await_state(ends.server, TCP_STATE_CLOSE_WAIT);
    tcp_await_state(ends.client, TCP_STATE_FIN_WAIT2);

    specimen_ready();
    specimen_wait();

    specimen_equal(tcp_state(ends.server), TCP_STATE_CLOSE_WAIT);
    specimen_equal(tcp_state(ends.client), TCP_STATE_FIN_WAIT2);
    files_expect(ends.server, 5000, 1, 0);
    tcp_expect_end(ends.server);
    tcp_pass(ends.server, ends.client, 100, 2, 0);
    return specimen_pass();
}
