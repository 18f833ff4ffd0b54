/* specimen: datagram sockets that are connected to each other by name | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int one = unix_bound(SOCK_DGRAM, "one"), two = unix_bound(SOCK_DGRAM, "two");
    specimen_check(unix_try_connect(one, "two") == 0 && unix_try_connect(two, "one") == 0);
    unix_send(one, "text");

    specimen_ready();
    specimen_wait();

    unix_expect_from(two, "text", "one");
    unix_talk(two, one);
    specimen_check(unix_try_connect(unix_socket(SOCK_DGRAM), "one") < 0 && errno == EPERM);
    return specimen_pass();
}
