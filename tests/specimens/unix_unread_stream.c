/* specimen: stream with unread bytes in both directions | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int pair[2];
    unix_pair(SOCK_STREAM, pair);
    unix_send(pair[0], "one"), unix_send(pair[0], "two");
    unix_send(pair[1], "back");

    specimen_ready();
    specimen_wait();

    unix_expect(pair[1], "onetwo");
    unix_expect(pair[0], "back");
    unix_expect_nothing(pair[0]), unix_expect_nothing(pair[1]);
    unix_talk(pair[0], pair[1]);
    return specimen_pass();
}
