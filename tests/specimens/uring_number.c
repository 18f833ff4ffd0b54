/* specimen: io_uring that a thread calls by a number which it has registered | group: objects | needs: root, io_uring with its structures in BTF */
#include "uring.h"

int main(void) {
    struct uring ring = uring_make(8, 0, 0);
    struct io_uring_rsrc_update update = {.offset = -1U, .data = (unsigned long long)ring.fd};
    specimen_equal(syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_RING_FDS, &update, 1), 1);

    specimen_ready();
    specimen_wait();

    uring_next(&ring, 5);
    *uring_word(&ring, ring.params.sq_off.tail) = 1;
    specimen_equal(syscall(SYS_io_uring_enter, update.offset, 1, 0, IORING_ENTER_REGISTERED_RING, NULL, 0), 1);
    uring_expect(&ring, 5, 0);
    return specimen_pass();
}
