/* specimen: O_PATH descriptors of a file and of a folder | group: files | needs: nothing */
#include "files.h"

int main(void) {
    files_make("data", 1000, 1);
    specimen_equal(mkdir("folder", 0755), 0);
    files_make("folder/inside", 500, 2);
    files_open_at(3, "data", O_PATH);
    files_open_at(4, "folder", O_PATH | O_DIRECTORY | O_CLOEXEC);

    specimen_ready();
    specimen_wait();

    char byte;
    specimen_check(files_flags(3) & O_PATH && files_flags(4) & O_PATH);
    files_fails(read(3, &byte, 1), EBADF);
    specimen_equal(files_stat(3).st_size, 1000);
    specimen_equal(fcntl(4, F_GETFD), FD_CLOEXEC);
    int fd = open("/proc/self/fd/3", O_RDONLY);
    files_expect(fd, 1000, 1, 0);
    fd = openat(4, "inside", O_RDONLY);
    files_expect(fd, 500, 2, 0);
    specimen_equal(fchdir(4), 0);
    specimen_equal(access("inside", F_OK), 0);
    return specimen_pass();
}
