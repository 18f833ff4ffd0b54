/* specimen: io_uring with completions to be read, and a request that is not submitted yet | group: objects | needs: root, io_uring with its structures in BTF */
#include "uring.h"

int main(void) {
    struct uring ring = uring_make(8, 0, 0);
    uring_spend(&ring, 25); /* at place 9 of 16: the unread ones go round */
    for (unsigned i = 0; i < 11; i++) {
        uring_next(&ring, 1000 + i);
        specimen_equal(uring_submit(&ring, 0), 1);
    }
    uring_next(&ring, 2000);
    *uring_word(&ring, ring.params.sq_off.tail) = ring.submitted;
    uring_next(&ring, 2001); /* and one of which the kernel does not know */

    specimen_ready();
    specimen_wait();

    /* Five more fit in. More would go to where the unread ones are, and have to wait. */
    for (unsigned i = 2; i < 8; i++) uring_next(&ring, 2000 + i);
    specimen_equal(uring_submit(&ring, 0), 8);
    specimen_check(*uring_word(&ring, ring.params.sq_off.flags) & IORING_SQ_CQ_OVERFLOW);
    for (unsigned i = 0; i < 11; i++) uring_expect(&ring, 1000 + i, 0);
    for (unsigned i = 0; i < 5; i++) uring_expect(&ring, 2000 + i, 0);
    specimen_equal(syscall(SYS_io_uring_enter, ring.fd, 0, 3, IORING_ENTER_GETEVENTS, NULL, 0), 0);
    for (unsigned i = 5; i < 8; i++) uring_expect(&ring, 2000 + i, 0);
    uring_spend(&ring, 40);
    return specimen_pass();
}
