/* specimen: deleted file of 1 GiB that is nearly all hole stays sparse | group: files | needs: nothing */
#include "files.h"

static const off_t size = 1ll << 30, middle = 600ll << 20;

int main(void) {
    int fd = files_open_at(3, "data", O_RDWR | O_CREAT | O_EXCL);
    specimen_equal(pwrite(fd, "start", 5, 0), 5);
    specimen_equal(pwrite(fd, "middle", 6, middle), 6);
    specimen_equal(ftruncate(fd, size), 0);
    specimen_equal(unlink("data"), 0);

    specimen_ready();
    specimen_wait();

    struct stat status = files_stat(fd);
    specimen_equal(status.st_size, size);
    specimen_equal(status.st_nlink, 0);
    if (status.st_blocks > 1024) specimen_fail("%lld blocks for 11 bytes", (long long)status.st_blocks);
    files_expect_at(fd, 0, "start");
    files_expect_at(fd, middle, "middle");
    char zeros[4096];
    specimen_equal(pread(fd, zeros, sizeof zeros, size - 4096), 4096);
    memory_check_zero(zeros, sizeof zeros);
    return specimen_pass();
}
