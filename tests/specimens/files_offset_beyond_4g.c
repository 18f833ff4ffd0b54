/* specimen: offset beyond 4 GiB in an empty file | group: files | needs: nothing */
#include "files.h"

static const off_t far = (5ll << 30) + 123;

int main(void) {
    int fd = files_open_at(3, "data", O_RDWR | O_CREAT | O_EXCL);
    specimen_equal(lseek(fd, far, SEEK_SET), far);

    specimen_ready();
    specimen_wait();

    specimen_equal(files_offset(fd), far);
    specimen_equal(files_stat(fd).st_size, 0);
    specimen_equal(write(fd, "far away", 8), 8);
    specimen_equal(files_stat(fd).st_size, far + 8);
    files_expect_at(fd, far, "far away");
    specimen_equal(ftruncate(fd, 0), 0);
    return specimen_pass();
}
