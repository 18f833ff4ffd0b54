/* specimen: deleted file: content, size, offset, still writable, and no name comes back | group: files | needs: nothing */
#include "files.h"

int main(void) {
    files_make("data", 100000, 1);
    int fd = files_open_at(3, "data", O_RDWR);
    files_expect(fd, 30000, 1, 0);
    specimen_equal(unlink("data"), 0);
    int names = files_names(".");

    specimen_ready();
    specimen_wait();

    struct stat status = files_stat(fd);
    specimen_equal(status.st_nlink, 0);
    specimen_equal(status.st_size, 100000);
    specimen_equal(files_offset(fd), 30000);
    specimen_equal(files_flags(fd), O_RDWR);
    specimen_equal(files_names("."), names);
    files_expect(fd, 70000, 1, 30000);
    files_write(fd, 5000, 1, 100000);
    specimen_equal(lseek(fd, 0, SEEK_SET), 0);
    files_expect(fd, 105000, 1, 0);
    return specimen_pass();
}
