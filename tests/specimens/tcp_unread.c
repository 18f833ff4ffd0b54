/* specimen: TCP connection with unread bytes at both ends | group: tcp | needs: root */
#include "tcp.h"

int main(void) {
    struct tcp_ends ends = tcp_pair_four();
    files_write(ends.client, 10, 1, 0), files_write(ends.client, 30000, 1, 10);
    files_write(ends.server, 777, 2, 0);
    tcp_await_unread(ends.server, 30010);
    files_expect(ends.server, 7, 1, 0);
    tcp_await_unread(ends.client, 777);

    specimen_ready();
    specimen_wait();

    specimen_equal(files_unread(ends.server), 30003);
    specimen_equal(files_unread(ends.client), 777);
    files_write(ends.client, 100, 1, 30010);
    files_expect(ends.server, 30103, 1, 7);
    files_expect(ends.client, 777, 2, 0);
    tcp_pass_both(ends);
    return specimen_pass();
}
