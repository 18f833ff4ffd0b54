/* specimen: TCP connection over IPv6, with unread bytes | group: tcp | needs: root */
#include "tcp.h"

int main(void) {
    struct tcp_ends ends = tcp_pair(tcp_six("::1", 0));
    struct tcp_address client = tcp_name(ends.client), server = tcp_name(ends.server);
    files_write(ends.client, 5000, 1, 0);
    tcp_await_unread(ends.server, 5000);

    specimen_ready();
    specimen_wait();

    tcp_same(tcp_name(ends.client), client);
    tcp_same(tcp_other(ends.client), server);
    files_expect(ends.server, 5000, 1, 0);
    tcp_pass_both(ends);
    return specimen_pass();
}
