/* specimen: io_uring with a registered file that was closed | group: objects | needs: refusal as a registered file (slot 1) that no process of the tree has open, root, io_uring with its structures in BTF */
#include "uring.h"

int main(void) {
    struct uring ring = uring_make(8, 0, 0);
    int fds[] = {1, files_open_at(50, "file", O_RDWR | O_CREAT)};
    specimen_equal(syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES, fds, 2), 0);
    specimen_equal(close(fds[1]), 0);

    specimen_ready();
    specimen_wait();

    uring_write(&ring, 8, 1, "text");
    ((struct io_uring_sqe *)ring.entries)->flags = IOSQE_FIXED_FILE;
    specimen_equal(uring_submit(&ring, 1), 1);
    uring_expect(&ring, 8, 4);
    return specimen_pass();
}
