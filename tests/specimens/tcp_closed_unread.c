/* specimen: TCP connection that is over, with bytes that nobody has read | group: tcp | needs: root */
#include "tcp.h"

int main(void) {
    struct tcp_ends ends = tcp_pair_four();
    files_write(ends.server, 3000, 1, 0);
    tcp_await_unread(ends.client, 3000);
    specimen_equal(shutdown(ends.server, SHUT_WR), 0);
    tcp_await_state(ends.client, TCP_STATE_CLOSE_WAIT);
    specimen_equal(shutdown(ends.client, SHUT_WR), 0);
    tcp_await_state(ends.client, TCP_STATE_CLOSE);

    specimen_ready();
    specimen_wait();

    specimen_equal(tcp_state(ends.client), TCP_STATE_CLOSE);
    specimen_check(files_poll(ends.client) & POLLHUP);
    specimen_check(!(files_poll(ends.client) & POLLERR));
    specimen_equal(files_unread(ends.client), 3000);
    files_expect(ends.client, 3000, 1, 0);
    tcp_expect_end(ends.client);
    files_fails(send(ends.client, "x", 1, MSG_NOSIGNAL), EPIPE);
    return specimen_pass();
}
