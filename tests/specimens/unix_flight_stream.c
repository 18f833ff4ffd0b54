/* specimen: descriptors in flight between plain bytes of a stream | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int pair[2], event = eventfd(5, 0);
    unix_pair(SOCK_STREAM, pair);
    unix_send(pair[0], "plain ");
    unix_send_fd(pair[0], "first ", event);
    unix_send(pair[0], "plain again ");
    unix_send_fd(pair[0], "second", pair[0]);

    specimen_ready();
    specimen_wait();

    uint64_t value;
    int one = unix_expect_fd(pair[1], "plain first ");
    specimen_equal(read(one, &value, 8), 8);
    specimen_equal(value, 5);
    int two = unix_expect_fd(pair[1], "plain again second");
    unix_talk(two, pair[1]);
    specimen_equal(write(event, &value, 8), 8);
    specimen_equal(read(one, &value, 8), 8);
    return specimen_pass();
}
