/* specimen: TCP connection that the other end has reset, the error not fetched | group: tcp | needs: root */
#include "tcp.h"

int main(void) {
    struct tcp_ends ends = tcp_pair_four();
    struct linger hard = {.l_onoff = 1};
    specimen_equal(setsockopt(ends.server, SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
    close(ends.server);
    tcp_await_state(ends.client, TCP_STATE_CLOSE);

    specimen_ready();
    specimen_wait();

    specimen_check(files_poll(ends.client) & POLLERR);
    char byte;
    files_fails(read(ends.client, &byte, 1), ECONNRESET);
    tcp_expect_end(ends.client);
    return specimen_pass();
}
