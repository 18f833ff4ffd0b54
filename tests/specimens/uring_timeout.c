/* specimen: io_uring with a timeout that nothing shows | group: objects | needs: refusal as an io_uring with requests in flight, root, io_uring with its structures in BTF */
#include "uring.h"

int main(void) {
    struct uring ring = uring_make(8, 0, 0);
    struct __kernel_timespec hour = {.tv_sec = 3600};
    struct io_uring_sqe *entry = uring_next(&ring, 1);
    entry->opcode = IORING_OP_TIMEOUT;
    entry->addr = (unsigned long)&hour;
    entry->len = 1;
    specimen_equal(uring_submit(&ring, 0), 1);

    specimen_ready();
    specimen_wait();

    entry = uring_next(&ring, 2);
    entry->opcode = IORING_OP_TIMEOUT_REMOVE;
    entry->addr = 1;
    specimen_equal(uring_submit(&ring, 2), 1);
    specimen_equal(*uring_word(&ring, ring.params.cq_off.tail), 2);
    return specimen_pass();
}
