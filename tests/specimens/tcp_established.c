/* specimen: TCP connection between two descriptors of one process, idle | group: tcp | needs: root */
#include "tcp.h"

int main(void) {
    struct tcp_ends ends = tcp_pair_four();
    struct tcp_address client = tcp_name(ends.client), server = tcp_name(ends.server);
    tcp_pass_both(ends);

    specimen_ready();
    specimen_wait();

    specimen_equal(tcp_state(ends.client), TCP_STATE_ESTABLISHED);
    specimen_equal(tcp_state(ends.server), TCP_STATE_ESTABLISHED);
    tcp_same(tcp_name(ends.client), client);
    tcp_same(tcp_other(ends.client), server);
    tcp_same(tcp_name(ends.server), server);
    tcp_same(tcp_other(ends.server), client);
    specimen_equal(files_flags(ends.client), O_RDWR);
    tcp_pass_both(ends);
    close(ends.client);
    tcp_expect_end(ends.server);
    return specimen_pass();
}
