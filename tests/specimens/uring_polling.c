/* specimen: io_uring with a polling thread of the kernel's | group: objects | needs: refusal as IORING_SETUP_SQPOLL, root, io_uring with its structures in BTF */
#include "uring.h"

int main(void) {
    struct uring ring = uring_make(8, 0, IORING_SETUP_SQPOLL);

    specimen_ready();
    specimen_wait();

    uring_next(&ring, 1);
    *uring_word(&ring, ring.params.sq_off.tail) = 1;
    specimen_equal(syscall(SYS_io_uring_enter, ring.fd, 1, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_SQ_WAKEUP, NULL, 0), 1);
    uring_expect(&ring, 1, 0);
    return specimen_pass();
}
