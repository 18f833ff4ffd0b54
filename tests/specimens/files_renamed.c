/* specimen: file renamed, and its folder renamed, after it was opened | group: files | needs: nothing */
#include "files.h"

int main(void) {
    specimen_equal(mkdir("before", 0755), 0);
    files_make("before/data", 1000, 1);
    files_open_at(3, "before/data", O_RDWR);
    lseek(3, 100, SEEK_SET);
    specimen_check(rename("before/data", "before/moved") == 0 && rename("before", "after") == 0);

    specimen_ready();
    specimen_wait();

    files_expect(3, 900, 1, 100);
    specimen_check(memory_ends_with(files_link(3), "/after/moved"));
    specimen_equal(pwrite(3, "changed", 7, 0), 7);
    int fd = open("after/moved", O_RDONLY);
    files_expect_at(fd, 0, "changed");
    memory_file_put_back(3, 0, 7, 1);
    specimen_equal(access("before", F_OK), -1);
    return specimen_pass();
}
