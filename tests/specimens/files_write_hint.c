/* specimen: hint about how long what is written will live (F_SET_RW_HINT) | group: files | needs: nothing */
#include "files.h"

int main(void) {
    int fd = files_open_at(20, "file", O_RDWR | O_CREAT), plain = files_open_at(21, "plain", O_RDWR | O_CREAT);
    uint64_t hint = 3 /* RWH_WRITE_LIFE_MEDIUM */, found = 9;
    if (fcntl(fd, 1036 /* F_SET_RW_HINT */, &hint)) specimen_skip("F_SET_RW_HINT: %s", strerror(errno));
    specimen_equal(unlink("file"), 0); /* so that a new inode has to take its place */

    specimen_ready();
    specimen_wait();

    specimen_equal(fcntl(fd, 1035, &found), 0);
    specimen_equal(found, hint);
    specimen_equal(fcntl(plain, 1035, &found), 0);
    specimen_equal(found, 0);
    return specimen_pass();
}
