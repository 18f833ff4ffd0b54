/* specimen: log file open for appending, with another writer behind its back | group: files | needs: nothing */
#include "files.h"

int main(void) {
    int fd = files_open_at(3, "log", O_WRONLY | O_CREAT | O_APPEND);
    specimen_equal(write(fd, "one\n", 4), 4);

    specimen_ready();
    specimen_wait();

    specimen_equal(files_flags(fd), O_WRONLY | O_APPEND);
    specimen_equal(files_offset(fd), 4);
    int other = open("log", O_RDWR);
    specimen_equal(pwrite(other, "two\n", 4, 4), 4);
    specimen_equal(write(fd, "three\n", 6), 6);
    specimen_equal(lseek(fd, 0, SEEK_SET), 0);
    specimen_equal(write(fd, "four\n", 5), 5);
    files_expect_at(other, 0, "one\ntwo\nthree\nfour\n");
    specimen_equal(ftruncate(other, 4), 0);
    return specimen_pass();
}
