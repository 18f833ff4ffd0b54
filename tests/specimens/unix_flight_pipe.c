/* specimen: both ends of a pipe in flight, with unread bytes | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int pair[2], ends[2];
    unix_pair(SOCK_SEQPACKET, pair);
    specimen_check(pipe(ends) == 0 && write(ends[1], "water", 5) == 5);
    unix_send_fds(pair[0], "pipe", ends, 2);
    close(ends[0]), close(ends[1]);

    specimen_ready();
    specimen_wait();

    char text[8] = {0};
    unix_expect_fds(pair[1], "pipe", ends, 2, NULL);
    specimen_equal(read(ends[0], text, 8), 5);
    specimen_equal_text(text, "water");
    specimen_equal(write(ends[1], "more", 4), 4);
    specimen_equal(read(ends[0], text, 8), 4);
    close(ends[1]);
    specimen_equal(read(ends[0], text, 8), 0);
    return specimen_pass();
}
