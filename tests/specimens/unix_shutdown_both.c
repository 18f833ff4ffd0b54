/* specimen: seqpacket socket that is shut down for both | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int pair[2];
    unix_pair(SOCK_SEQPACKET, pair);
    specimen_check(shutdown(pair[0], SHUT_RDWR) == 0);

    specimen_ready();
    specimen_wait();

    unix_expect_end(pair[0]), unix_expect_end(pair[1]);
    specimen_check(send(pair[0], "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);
    specimen_check(send(pair[1], "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);
    return specimen_pass();
}
