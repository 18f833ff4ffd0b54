/* specimen: /dev/null, /dev/zero, /dev/full, /dev/random, /dev/urandom | group: files | needs: nothing */
#include "files.h"

int main(void) {
    static const char *const names[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"};
    for (int i = 0; i < 5; i++) files_open_at(3 + i, names[i], i < 3 ? O_RDWR : O_RDONLY);

    specimen_ready();
    specimen_wait();

    char bytes[64];
    for (int i = 0; i < 5; i++) {
        struct stat named;
        specimen_equal(stat(names[i], &named), 0);
        specimen_equal(files_stat(3 + i).st_rdev, named.st_rdev);
        specimen_equal(files_flags(3 + i), i < 3 ? O_RDWR : O_RDONLY);
    }
    specimen_equal(read(3, bytes, sizeof bytes), 0);
    specimen_equal(write(3, bytes, sizeof bytes), sizeof bytes);
    memset(bytes, 1, sizeof bytes);
    specimen_equal(read(4, bytes, sizeof bytes), sizeof bytes);
    memory_check_zero(bytes, sizeof bytes);
    files_fails(write(5, bytes, sizeof bytes), ENOSPC);
    specimen_equal(read(6, bytes, sizeof bytes), sizeof bytes);
    specimen_equal(read(7, bytes + 32, 32), 32);
    specimen_check(memory_nonzero(bytes, 32) >= 0 && memory_nonzero(bytes + 32, 32) >= 0);
    return specimen_pass();
}
