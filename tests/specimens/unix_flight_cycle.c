/* specimen: two sockets in flight within each other | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int a[2], b[2];
    unix_pair(SOCK_STREAM, a), unix_pair(SOCK_STREAM, b);
    unix_send_fd(a[0], "b", b[1]), unix_send_fd(b[0], "a", a[1]);
    close(b[1]);

    specimen_ready();
    specimen_wait();

    int second = unix_expect_fd(a[1], "b"), first = unix_expect_fd(second, "a");
    unix_talk(a[0], first), unix_talk(b[0], second);
    return specimen_pass();
}
