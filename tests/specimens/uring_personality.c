/* specimen: io_uring with registered credentials | group: objects | needs: refusal as registered credentials, root, io_uring with its structures in BTF */
#include "uring.h"

int main(void) {
    struct uring ring = uring_make(8, 0, 0);
    long number = syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_PERSONALITY, NULL, 0);
    specimen_check(number > 0);

    specimen_ready();
    specimen_wait();

    uring_next(&ring, 3)->personality = (unsigned short)number;
    specimen_equal(uring_submit(&ring, 1), 1);
    uring_expect(&ring, 3, 0);
    return specimen_pass();
}
