/* specimen: TCP connection that the other end has reset, which the program knows | group: tcp | needs: root */
#include "tcp.h"

int main(void) {
    struct tcp_ends ends = tcp_pair_four();
    struct linger hard = {.l_onoff = 1};
    specimen_equal(setsockopt(ends.server, SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
    close(ends.server);
    tcp_await_state(ends.client, TCP_STATE_CLOSE);
    specimen_equal(tcp_get(ends.client, SOL_SOCKET, SO_ERROR), ECONNRESET);

    specimen_ready();
    specimen_wait();

    specimen_check(!(files_poll(ends.client) & POLLERR));
    specimen_equal(tcp_get(ends.client, SOL_SOCKET, SO_ERROR), 0);
    tcp_expect_end(ends.client);
    files_fails(send(ends.client, "x", 1, MSG_NOSIGNAL), EPIPE);
    return specimen_pass();
}
