/* specimen: socket in flight within itself | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int pair[2];
    unix_pair(SOCK_STREAM, pair);
    unix_send_fd(pair[0], "itself", pair[1]);
    unix_send_fd(pair[1], "other", pair[1]);

    specimen_ready();
    specimen_wait();

    int found = unix_expect_fd(pair[1], "itself"), other = unix_expect_fd(pair[0], "other");
    unix_talk(pair[0], found);
    unix_talk(pair[0], other);
    return specimen_pass();
}
