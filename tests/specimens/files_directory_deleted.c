/* specimen: open folder that is deleted | group: files | needs: nothing */
#include "files.h"

int main(void) {
    specimen_equal(mkdir("folder", 0700), 0);
    int fd = files_open_at(3, "folder", O_RDONLY | O_DIRECTORY);
    specimen_equal(rmdir("folder"), 0);

    specimen_ready();
    specimen_wait();

    struct stat status = files_stat(fd);
    specimen_check(S_ISDIR(status.st_mode));
    specimen_equal(status.st_nlink, 0);
    specimen_equal(status.st_mode & 0777, 0700);
    files_fails(openat(fd, "new", O_RDWR | O_CREAT, 0644), ENOENT);
    specimen_equal(access("folder", F_OK), -1);
    return specimen_pass();
}
