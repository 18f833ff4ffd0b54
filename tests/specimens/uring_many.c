/* specimen: io_uring that has had 100,000 requests, some of them without completion | group: objects | needs: root, io_uring with its structures in BTF */
#include "uring.h"

int main(void) {
    struct uring ring = uring_make(2, 0, IORING_SETUP_CLAMP);
    uring_spend(&ring, 100000);
    for (unsigned i = 0; i < 777; i++) {
        uring_next(&ring, i)->flags = IOSQE_CQE_SKIP_SUCCESS;
        specimen_equal(uring_submit(&ring, 0), 1);
    }
    uring_spend(&ring, 2);
    specimen_equal(ring.seen, 100002);

    specimen_ready();
    specimen_wait();

    specimen_equal(*uring_word(&ring, ring.params.sq_off.head), 100779);
    specimen_equal(*uring_word(&ring, ring.params.cq_off.tail), 100002);
    uring_next(&ring, 5)->flags = IOSQE_IO_DRAIN; /* which nobody may mix with skipping */
    specimen_equal(uring_submit(&ring, 1), 1);
    uring_expect(&ring, 5, -EOPNOTSUPP);
    uring_spend(&ring, 50);
    return specimen_pass();
}
