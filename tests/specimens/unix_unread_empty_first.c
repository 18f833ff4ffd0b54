/* specimen: datagram without bytes, the first that is unread | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int pair[2];
    unix_pair(SOCK_DGRAM, pair);
    unix_send(pair[0], "");

    specimen_ready();
    specimen_wait();

    unix_expect(pair[1], "");
    unix_expect_nothing(pair[1]);
    unix_talk(pair[0], pair[1]);
    return specimen_pass();
}
