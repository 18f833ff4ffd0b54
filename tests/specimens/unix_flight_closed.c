/* specimen: descriptor in flight in a stream whose other end was closed | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int pair[2], event = eventfd(3, 0);
    unix_pair(SOCK_STREAM, pair);
    unix_send_fd(pair[0], "event", event);
    close(event), close(pair[0]);

    specimen_ready();
    specimen_wait();

    uint64_t value;
    event = unix_expect_fd(pair[1], "event");
    specimen_equal(read(event, &value, 8), 8);
    specimen_equal(value, 3);
    unix_expect_end(pair[1]);
    return specimen_pass();
}
