/* specimen: TCP socket whose connection is in TIME_WAIT | group: tcp | needs: root */
#include "tcp.h"

int main(void) {
    struct tcp_ends ends = tcp_pair_four();
    struct tcp_address address = tcp_name(ends.client);
    specimen_equal(shutdown(ends.client, SHUT_WR), 0);
    tcp_expect_end(ends.server);
    close(ends.server);
    tcp_expect_end(ends.client);
    tcp_await_state(ends.client, TCP_STATE_CLOSE);

    specimen_ready();
    specimen_wait();

    specimen_equal(tcp_state(ends.client), TCP_STATE_CLOSE);
    tcp_same(tcp_name(ends.client), address);
    tcp_expect_end(ends.client);
    files_fails(getpeername(ends.client, &address.any, &address.size), ENOTCONN);
    return specimen_pass();
}
