/* specimen: file open for reading and writing, offset behind its end | group: files | needs: nothing */
#include "files.h"

int main(void) {
    files_make("data", 10000, 1);
    int fd = files_open_at(3, "data", O_RDWR);
    specimen_equal(pwrite(fd, "changed", 7, 5000), 7);
    specimen_equal(lseek(fd, 20000, SEEK_SET), 20000);

    specimen_ready();
    specimen_wait();

    specimen_equal(files_flags(fd), O_RDWR);
    specimen_equal(files_offset(fd), 20000);
    specimen_equal(files_stat(fd).st_size, 10000);
    files_expect_at(fd, 5000, "changed");
    specimen_equal(write(fd, "far", 3), 3);
    specimen_equal(files_stat(fd).st_size, 20003);
    specimen_equal(lseek(fd, 10000, SEEK_SET), 10000);
    char zeros[10000];
    specimen_equal(read(fd, zeros, sizeof zeros), sizeof zeros);
    memory_check_zero(zeros, sizeof zeros);
    specimen_equal(ftruncate(fd, 10000), 0);
    return specimen_pass();
}
