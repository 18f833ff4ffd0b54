/* specimen: two pipes with equal content, flags and size are not mixed up | group: files | needs: nothing */
#include "files.h"

int main(void) {
    int one[2], two[2];
    specimen_check(pipe(one) == 0 && pipe(two) == 0);
    files_write(one[1], 100, 1, 0), files_write(two[1], 100, 1, 0);
    specimen_equal(dup2(one[1], 20), 20);
    /* A second description of the same pipe, for reading and writing both. */
    int both = open("/proc/self/fd/3", O_RDWR);
    specimen_check(one[0] == 3 && both >= 0);

    specimen_ready();
    specimen_wait();

    files_write(one[1], 50, 1, 100);
    specimen_equal(files_unread(one[0]), 150);
    specimen_equal(files_unread(two[0]), 100);
    files_write(20, 50, 1, 150);
    specimen_equal(files_flags(both), O_RDWR);
    files_write(both, 50, 1, 200);
    files_expect(both, 100, 1, 0);
    files_expect(one[0], 150, 1, 100);
    files_expect(two[0], 100, 1, 0);
    specimen_check(files_stat(one[0]).st_ino != files_stat(two[0]).st_ino);
    specimen_equal(files_stat(both).st_ino, files_stat(one[0]).st_ino);
    return specimen_pass();
}
