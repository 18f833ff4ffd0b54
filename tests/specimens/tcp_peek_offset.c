/* specimen: TCP connection with a peek offset (SO_PEEK_OFF) | group: tcp | needs: root */
#include "tcp.h"

int main(void) {
    struct tcp_ends ends = tcp_pair_four();
    int offset = 0;
    if (setsockopt(ends.server, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof offset) != 0)
        specimen_skip("TCP has no peek offset before 6.9");
    files_write(ends.client, 1000, 1, 0);
    tcp_await_unread(ends.server, 1000);
    unsigned char bytes[1000];
    specimen_equal(recv(ends.server, bytes, 300, MSG_PEEK), 300);

    specimen_ready();
    specimen_wait();

    specimen_equal(tcp_get(ends.server, SOL_SOCKET, SO_PEEK_OFF), 300);
    specimen_equal(recv(ends.server, bytes, 10, MSG_PEEK), 10);
    specimen_equal(bytes[0], memory_byte(1, 300));
    files_expect(ends.server, 1000, 1, 0);
    return specimen_pass();
}
