/* specimen: io_uring with wide entries, a queue of its own size and no index | group: objects | needs: root, io_uring with its structures in BTF */
#include "uring.h"

int main(void) {
    struct uring ring =
        uring_make(64, 1024, IORING_SETUP_SQE128 | IORING_SETUP_CQE32 | IORING_SETUP_CLAMP | URING_NO_SQARRAY);
    uring_spend(&ring, 70);
    for (unsigned i = 0; i < 40; i++) uring_next(&ring, 500 + i);
    specimen_equal(uring_submit(&ring, 40), 40);

    specimen_ready();
    specimen_wait();

    for (unsigned i = 0; i < 40; i++) uring_expect(&ring, 500 + i, 0);
    uring_next(&ring, 1)->opcode = 255; /* ends what is submitted with it */
    uring_next(&ring, 2);
    specimen_equal(uring_submit(&ring, 0), 1);
    uring_expect(&ring, 1, -EINVAL);
    specimen_equal(uring_submit(&ring, 1), 1);
    uring_expect(&ring, 2, 0);
    uring_spend(&ring, 1100);
    return specimen_pass();
}
