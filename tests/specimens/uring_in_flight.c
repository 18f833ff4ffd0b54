/* specimen: io_uring with a request in flight | group: objects | needs: refusal as an io_uring with requests in flight, root, io_uring with its structures in BTF */
#include "uring.h"

int main(void) {
    struct uring ring = uring_make(8, 0, 0);
    int pipes[2];
    specimen_equal(pipe(pipes), 0);
    char byte = 0;
    struct io_uring_sqe *entry = uring_next(&ring, 1);
    entry->opcode = IORING_OP_READ;
    entry->fd = pipes[0];
    entry->addr = (unsigned long)&byte;
    entry->len = 1;
    entry->off = -1ULL;
    specimen_equal(uring_submit(&ring, 0), 1);
    uring_next(&ring, 2);
    specimen_equal(uring_submit(&ring, 1), 1);
    uring_expect(&ring, 2, 0);

    specimen_ready();
    specimen_wait();

    uring_expect_none(&ring);
    specimen_equal(write(pipes[1], "z", 1), 1);
    specimen_equal(uring_enter(&ring, 0, 1), 0);
    uring_expect(&ring, 1, 1);
    specimen_equal(byte, 'z');
    return specimen_pass();
}
