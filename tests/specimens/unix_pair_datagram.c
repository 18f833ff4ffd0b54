/* specimen: pair of datagram sockets in one process | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int pair[2];
    unix_pair(SOCK_DGRAM, pair);

    specimen_ready();
    specimen_wait();

    unix_talk(pair[0], pair[1]);
    unix_expect_name(pair[0], NULL);
    unix_expect_peer(pair[0], NULL);
    unix_expect_made_by(pair[0], getpid(), geteuid(), getegid());
    unix_expect_made_by(pair[1], getpid(), geteuid(), getegid());
    return specimen_pass();
}
