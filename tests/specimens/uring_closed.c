/* specimen: io_uring whose descriptor is closed and whose ring is mapped | group: objects | needs: refusal as an io_uring, io_uring */
#include "files.h"

#include <linux/io_uring.h>
#include <sys/mman.h>

int main(void) {
    struct io_uring_params params;
    memset(&params, 0, sizeof params);
    int fd = (int)syscall(SYS_io_uring_setup, 8, &params);
    if (fd < 0) specimen_skip("no io_uring: %s", strerror(errno));
    unsigned *ring = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQ_RING);
    specimen_check(ring != MAP_FAILED);
    close(fd);

    specimen_ready();
    specimen_wait();

    specimen_equal(ring[params.sq_off.ring_entries / 4], 8);
    return specimen_pass();
}
