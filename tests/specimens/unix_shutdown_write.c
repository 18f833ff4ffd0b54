/* specimen: stream that is shut down for writing at one end | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int pair[2];
    unix_pair(SOCK_STREAM, pair);
    unix_send(pair[0], "before");
    specimen_check(shutdown(pair[0], SHUT_WR) == 0);

    specimen_ready();
    specimen_wait();

    unix_expect(pair[1], "before");
    unix_expect_end(pair[1]);
    specimen_check(send(pair[0], "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);
    unix_send(pair[1], "still"), unix_expect(pair[0], "still");
    return specimen_pass();
}
