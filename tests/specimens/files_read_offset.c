/* specimen: file open for reading, half read | group: files | needs: nothing */
#include "files.h"

int main(void) {
    files_make("data", 100000, 1);
    int fd = files_open_at(5, "data", O_RDONLY);
    files_expect(fd, 54321, 1, 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(files_offset(fd), 54321);
    specimen_equal(files_flags(fd), O_RDONLY);
    files_expect(fd, 100000 - 54321, 1, 54321);
    char byte;
    specimen_equal(read(fd, &byte, 1), 0);
    files_fails(write(fd, "x", 1), EBADF);
    specimen_check(memory_ends_with(files_link(fd), "/data"));
    struct stat named;
    specimen_equal(stat("data", &named), 0);
    specimen_check(named.st_ino == files_stat(fd).st_ino && named.st_dev == files_stat(fd).st_dev);
    return specimen_pass();
}
