/* specimen: io_uring, idle, that has written to a file | group: objects | needs: root, io_uring with its structures in BTF */
#include "uring.h"

int main(void) {
    struct uring ring = uring_make(8, 0, 0);
    int fd = files_open_at(50, "file", O_RDWR | O_CREAT);
    uring_spend(&ring, 21);
    uring_write(&ring, 7, fd, "before");
    specimen_equal(uring_submit(&ring, 1), 1);
    uring_expect(&ring, 7, 6);

    specimen_ready();
    specimen_wait();

    uring_expect_none(&ring);
    specimen_check(!strcmp(files_link(ring.fd), "anon_inode:[io_uring]"));
    uring_write(&ring, 8, fd, "behind it");
    specimen_equal(uring_submit(&ring, 1), 1);
    uring_expect(&ring, 8, 9);
    char text[10] = "";
    specimen_equal(pread(fd, text, 9, 0), 9);
    specimen_check(!strcmp(text, "behind it"));
    uring_spend(&ring, 100);
    uring_expect_none(&ring);
    return specimen_pass();
}
