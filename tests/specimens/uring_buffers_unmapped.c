/* specimen: io_uring with a registered buffer whose memory is another now | group: objects | needs: refusal as registered buffers that are not in the memory of a process that has it open, root, io_uring with its structures in BTF */
#include "uring.h"

#include <sys/uio.h>

int main(void) {
    struct uring ring = uring_make(8, 0, 0);
    char *area = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct iovec buffer = {area, 8192};
    specimen_equal(syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_BUFFERS, &buffer, 1), 0);
    specimen_equal(madvise(area + 4096, 4096, MADV_DONTNEED), 0);
    area[4096] = 'x';

    specimen_ready();
    specimen_wait();

    specimen_equal(area[4096], 'x');
    uring_spend(&ring, 3);
    return specimen_pass();
}
