/* specimen: deleted file with its own mode, owner and times | group: files | needs: root */
#include "files.h"

int main(void) {
    files_make("data", 1000, 1);
    int fd = files_open_at(3, "data", O_RDONLY);
    specimen_equal(fchown(fd, 1234, 5678), 0);
    specimen_equal(fchmod(fd, 04751), 0);
    struct timespec times[2] = {{.tv_sec = 1000000000, .tv_nsec = 1}, {.tv_sec = 1100000000, .tv_nsec = 123456789}};
    specimen_equal(futimens(fd, times), 0);
    specimen_equal(unlink("data"), 0);

    specimen_ready();
    specimen_wait();

    struct stat status = files_stat(fd);
    specimen_equal(status.st_uid, 1234);
    specimen_equal(status.st_gid, 5678);
    specimen_equal(status.st_mode & 07777, 04751);
    specimen_equal(status.st_mtim.tv_sec, 1100000000);
    specimen_equal(status.st_mtim.tv_nsec, 123456789);
    specimen_equal(status.st_nlink, 0);
    files_expect(fd, 1000, 1, 0);
    return specimen_pass();
}
