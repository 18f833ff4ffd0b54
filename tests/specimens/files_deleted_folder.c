/* specimen: file in a folder, both deleted | group: files | needs: nothing */
#include "files.h"

int main(void) {
    specimen_check(mkdir("outer", 0755) == 0 && mkdir("outer/inner", 0755) == 0);
    files_make("outer/inner/data", 10000, 1);
    int fd = files_open_at(3, "outer/inner/data", O_RDWR);
    lseek(fd, 5000, SEEK_SET);
    specimen_check(unlink("outer/inner/data") == 0 && rmdir("outer/inner") == 0 && rmdir("outer") == 0);
    int names = files_names(".");

    specimen_ready();
    specimen_wait();

    files_expect(fd, 5000, 1, 5000);
    specimen_equal(files_stat(fd).st_nlink, 0);
    specimen_equal(files_stat(fd).st_size, 10000);
    specimen_equal(access("outer", F_OK), -1);
    specimen_equal(files_names("."), names);
    return specimen_pass();
}
