/* specimen: stream that is shut down for reading at one end | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int pair[2];
    unix_pair(SOCK_STREAM, pair);
    unix_send(pair[1], "before");
    specimen_check(shutdown(pair[0], SHUT_RD) == 0);

    specimen_ready();
    specimen_wait();

    unix_expect(pair[0], "before");
    unix_expect_end(pair[0]);
    specimen_check(send(pair[1], "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);
    unix_send(pair[0], "still"), unix_expect(pair[1], "still");
    return specimen_pass();
}
