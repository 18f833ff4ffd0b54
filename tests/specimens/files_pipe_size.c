/* specimen: pipes whose size was changed by F_SETPIPE_SZ: 4 KiB, and 1 MiB with 300 KB in it | group: files | needs: nothing */
#include "files.h"

int main(void) {
    int small[2], large[2];
    specimen_check(pipe2(small, O_NONBLOCK) == 0 && pipe2(large, O_NONBLOCK) == 0);
    specimen_equal(fcntl(small[0], F_SETPIPE_SZ, 4096), 4096);
    specimen_equal(fcntl(large[1], F_SETPIPE_SZ, 1 << 20), 1 << 20);
    files_write(small[1], 4096, 1, 0);
    files_write(large[1], 300000, 2, 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(fcntl(small[0], F_GETPIPE_SZ), 4096);
    specimen_equal(fcntl(large[0], F_GETPIPE_SZ), 1 << 20);
    files_fails(write(small[1], "x", 1), EAGAIN);
    files_expect(small[0], 4096, 1, 0);
    files_write(large[1], 500000, 2, 300000);
    files_expect(large[0], 800000, 2, 0);
    return specimen_pass();
}
