/* specimen: file in flight that is open elsewhere too, with one offset | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int pair[2];
    unix_pair(SOCK_DGRAM, pair);
    files_make("file", 100, 7);
    int fd = open("file", O_RDONLY);
    unix_send_fd(pair[0], "one", fd), unix_send_fd(pair[0], "two", fd);

    specimen_ready();
    specimen_wait();

    int one = unix_expect_fd(pair[1], "one"), two = unix_expect_fd(pair[1], "two");
    specimen_equal(lseek(fd, 33, SEEK_SET), 33);
    specimen_equal(files_offset(one), 33);
    specimen_equal(files_offset(two), 33);
    return specimen_pass();
}
