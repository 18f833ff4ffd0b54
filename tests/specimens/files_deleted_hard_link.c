/* specimen: file opened by a name since deleted, while another hard link to it is left | group: files | needs: nothing */
#include "files.h"

int main(void) {
    files_make("data", 10000, 1);
    int fd = files_open_at(3, "data", O_RDWR);
    lseek(fd, 10, SEEK_SET);
    specimen_check(link("data", "other") == 0 && unlink("data") == 0);
    int names = files_names(".");

    specimen_ready();
    specimen_wait();

    struct stat named;
    specimen_equal(stat("other", &named), 0);
    specimen_equal(named.st_ino, files_stat(fd).st_ino);
    specimen_equal(named.st_nlink, 1);
    specimen_equal(files_names("."), names);
    files_expect(fd, 990, 1, 10);
    specimen_equal(pwrite(fd, "new", 3, 0), 3);
    int other = open("other", O_RDONLY);
    files_expect_at(other, 0, "new");
    memory_file_put_back(fd, 0, 3, 1);
    return specimen_pass();
}
