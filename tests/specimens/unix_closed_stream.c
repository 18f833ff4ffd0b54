/* specimen: stream socket whose other end was closed, with unread data | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int pair[2];
    unix_pair(SOCK_STREAM, pair);
    unix_send(pair[1], "last words");
    close(pair[1]);

    specimen_ready();
    specimen_wait();

    specimen_check(unix_poll(pair[0], POLLIN | POLLHUP) & POLLHUP);
    unix_expect(pair[0], "last words");
    unix_expect_end(pair[0]);
    specimen_check(send(pair[0], "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);
    unix_expect_made_by(pair[0], getpid(), geteuid(), getegid());
    return specimen_pass();
}
