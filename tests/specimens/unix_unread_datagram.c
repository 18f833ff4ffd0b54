/* specimen: datagram sockets with unread messages | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int pair[2];
    unix_pair(SOCK_DGRAM, pair);
    unix_send(pair[0], "one"), unix_send(pair[0], "two"), unix_send(pair[0], "three");
    unix_send(pair[1], "back");

    specimen_ready();
    specimen_wait();

    unix_expect(pair[1], "one"), unix_expect(pair[1], "two"), unix_expect(pair[1], "three");
    unix_expect(pair[0], "back"), unix_expect_nothing(pair[0]);
    return specimen_pass();
}
