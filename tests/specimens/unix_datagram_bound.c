/* specimen: datagram sockets bound to paths, with unread messages from each other | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int one = unix_bound(SOCK_DGRAM, "one"), two = unix_bound(SOCK_DGRAM, "two");
    unix_send_to(one, "from one", "two"), unix_send_to(two, "to itself", "two");
    unix_send_to(two, "from two", "one");

    specimen_ready();
    specimen_wait();

    unix_expect_from(two, "from one", "one"), unix_expect_from(two, "to itself", "two");
    unix_expect_from(one, "from two", "two");
    unix_expect_nothing(one), unix_expect_nothing(two);
    unix_send_to(one, "again", "two"), unix_expect_from(two, "again", "one");
    return specimen_pass();
}
