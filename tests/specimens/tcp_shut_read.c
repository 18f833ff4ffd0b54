/* specimen: TCP connection of which one end does not read any more (SHUT_RD) | group: tcp | needs: root */
#include "tcp.h"

int main(void) {
    struct tcp_ends ends = tcp_pair_four();
    specimen_equal(shutdown(ends.client, SHUT_RD), 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(tcp_state(ends.client), TCP_STATE_ESTABLISHED);
    tcp_expect_end(ends.client);
    tcp_pass(ends.client, ends.server, 1000, 1, 0);
    return specimen_pass();
}
