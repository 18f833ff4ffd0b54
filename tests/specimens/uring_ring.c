/* specimen: io_uring | group: objects | needs: refusal as an io_uring */
#include "files.h"

#include <linux/io_uring.h>

int main(void) {
    struct io_uring_params params;
    memset(&params, 0, sizeof params);
    int fd = (int)syscall(SYS_io_uring_setup, 8, &params);
    if (fd < 0) specimen_skip("no io_uring: %s", strerror(errno));

    specimen_ready();
    specimen_wait();

    specimen_equal(syscall(SYS_io_uring_enter, fd, 0, 0, 0, NULL, 0), 0);
    return specimen_pass();
}
