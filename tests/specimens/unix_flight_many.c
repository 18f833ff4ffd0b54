/* specimen: sixty descriptors in flight in one message | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int pair[2], fds[60];
    unix_pair(SOCK_STREAM, pair);
    for (int i = 0; i < 60; i++) fds[i] = eventfd(i, EFD_NONBLOCK);
    unix_send_fds(pair[0], "many", fds, 60);
    for (int i = 0; i < 60; i++) close(fds[i]);

    specimen_ready();
    specimen_wait();

    unix_expect_fds(pair[1], "many", fds, 60, NULL);
    for (int i = 1; i < 60; i++) {
        uint64_t value;
        specimen_equal(read(fds[i], &value, 8), 8);
    specimen_equal(value, i);
    }
    return specimen_pass();
}
