/* specimen: deleted file open for writing only, with mode 0 | group: files | needs: nothing */
#include "files.h"

int main(void) {
    int fd = files_open_at(3, "data", O_WRONLY | O_CREAT | O_APPEND);
    files_write(fd, 5000, 1, 0);
    specimen_check(fchmod(fd, 0) == 0 && unlink("data") == 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(files_flags(fd), O_WRONLY | O_APPEND);
    specimen_equal(files_stat(fd).st_mode & 07777, 0);
    specimen_equal(files_stat(fd).st_nlink, 0);
    files_write(fd, 5000, 1, 5000);
    specimen_equal(fchmod(fd, 0600), 0);
    int again = open("/proc/self/fd/3", O_RDONLY);
    specimen_check(again >= 0);
    files_expect(again, 10000, 1, 0);
    return specimen_pass();
}
