/* specimen: TCP connection that one end has shut for both, the other end does not know | group: tcp | needs: root */
#include "tcp.h"

int main(void) {
    struct tcp_ends ends = tcp_pair_four();
    specimen_equal(shutdown(ends.client, SHUT_RDWR), 0);
    tcp_await_state(ends.client, TCP_STATE_FIN_WAIT2);

    specimen_ready();
    specimen_wait();

    specimen_equal(tcp_state(ends.client), TCP_STATE_FIN_WAIT2);
    tcp_expect_end(ends.client);
    tcp_expect_end(ends.server);
    close(ends.server);
    tcp_await_state(ends.client, TCP_STATE_CLOSE);
    return specimen_pass();
}
