/* specimen: file in flight that nobody has open any more | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int pair[2];
    unix_pair(SOCK_STREAM, pair);
    files_make("file", 100, 7);
    int fd = open("file", O_RDWR);
    specimen_equal(lseek(fd, 40, SEEK_SET), 40);
    unix_send_fd(pair[0], "file", fd);
    close(fd);

    specimen_ready();
    specimen_wait();

    int found = unix_expect_fd(pair[1], "file");
    specimen_equal(files_offset(found), 40);
    specimen_equal(files_flags(found) & O_ACCMODE, O_RDWR);
    unix_talk(pair[0], pair[1]);
    return specimen_pass();
}
