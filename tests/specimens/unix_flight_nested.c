/* specimen: socket in flight within a socket in flight, three deep | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int a[2], b[2], c[2], d = eventfd(9, EFD_NONBLOCK);
    unix_pair(SOCK_STREAM, a), unix_pair(SOCK_STREAM, b), unix_pair(SOCK_DGRAM, c);
    unix_send_fd(c[0], "event", d), close(d);
    unix_send_fd(b[0], "c", c[1]), close(c[1]);
    unix_send_fd(a[0], "b", b[1]), close(b[1]);

    specimen_ready();
    specimen_wait();

    uint64_t value;
    int inner = unix_expect_fd(a[1], "b"), third = unix_expect_fd(inner, "c"), event = unix_expect_fd(third, "event");
    specimen_equal(read(event, &value, 8), 8);
    specimen_equal(value, 9);
    unix_talk(b[0], inner), unix_talk(c[0], third);
    return specimen_pass();
}
