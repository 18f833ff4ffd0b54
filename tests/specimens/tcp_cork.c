/* specimen: TCP connection with a cork in it, and part of a segment behind it | group: tcp | needs: root */
#include "tcp.h"

int main(void) {
    struct tcp_ends ends = tcp_pair_four();
    tcp_set(ends.client, IPPROTO_TCP, TCP_CORK, 1);
    files_write(ends.client, 100, 1, 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(tcp_get(ends.client, IPPROTO_TCP, TCP_CORK), 1);
    files_write(ends.client, 100, 1, 100);
    tcp_set(ends.client, IPPROTO_TCP, TCP_CORK, 0);
    files_expect(ends.server, 200, 1, 0);
    tcp_pass_both(ends);
    return specimen_pass();
}
