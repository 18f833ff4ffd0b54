/* specimen: O_TMPFILE file, that gets its name only afterwards | group: files | needs: a file system with O_TMPFILE */
#include "files.h"

int main(void) {
    int fd = open(".", O_RDWR | O_TMPFILE, 0640);
    if (fd < 0) specimen_skip("no O_TMPFILE here: %s", strerror(errno));
    files_write(fd, 10000, 1, 0);

    specimen_ready();
    specimen_wait();

    char path[64];
    specimen_equal(files_stat(fd).st_nlink, 0);
    specimen_equal(files_stat(fd).st_size, 10000);
    specimen_equal(files_stat(fd).st_mode & 0777, 0640);
    specimen_equal(files_offset(fd), 10000);
    /* Only a file made by O_TMPFILE may get its first link: a deleted one answers ENOENT (open(2)). */
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    specimen_equal(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW), 0);
    int named = open("named", O_RDONLY);
    files_expect(named, 10000, 1, 0);
    specimen_equal(unlink("named"), 0);
    return specimen_pass();
}
