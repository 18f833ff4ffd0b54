/* specimen: io_uring with registered files, with holes, tags and a next free slot | group: objects | needs: root, io_uring with its structures in BTF */
#include "uring.h"

static int add(struct uring *ring, int fd, int slot, unsigned long long tag) {
    struct io_uring_rsrc_update2 update = {.offset = (unsigned)slot, .nr = 1};
    update.data = (unsigned long)&fd;
    update.tags = (unsigned long)&tag;
    return (int)syscall(SYS_io_uring_register, ring->fd, IORING_REGISTER_FILES_UPDATE2, &update, sizeof update);
}

int main(void) {
    struct uring ring = uring_make(8, 0, 0);
    struct io_uring_rsrc_register table = {.nr = 600, .flags = IORING_RSRC_REGISTER_SPARSE};
    specimen_equal(syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES2, &table, sizeof table), 0);
    int fd = files_open_at(50, "file", O_RDWR | O_CREAT);
    int other = files_open_at(51, "other", O_RDWR | O_CREAT);
    specimen_equal(add(&ring, other, 2, 0), 1);
    specimen_equal(add(&ring, fd, 599, 777), 1);
    specimen_equal(add(&ring, other, 3, 0), 1);
    specimen_equal(add(&ring, fd, 5, 0), 1);
    specimen_equal(add(&ring, -1, 5, 0), 1); /* the next that the kernel gives out */

    specimen_ready();
    specimen_wait();

    uring_write(&ring, 8, 599, "text");
    ((struct io_uring_sqe *)ring.entries)[0].flags = IOSQE_FIXED_FILE;
    uring_write(&ring, 9, 3, "others");
    ((struct io_uring_sqe *)ring.entries)[1].flags = IOSQE_FIXED_FILE;
    uring_write(&ring, 10, 4, "none");
    ((struct io_uring_sqe *)ring.entries)[2].flags = IOSQE_FIXED_FILE;
    specimen_equal(uring_submit(&ring, 3), 3);
    for (int i = 0; i < 3; i++) { /* in any order */
        struct io_uring_cqe *found = (struct io_uring_cqe *)(ring.rings + ring.params.cq_off.cqes) + (ring.seen & 15);
        uring_expect(&ring, found->user_data, found->user_data == 8 ? 4 : found->user_data == 9 ? 6 : -EBADF);
    }
    char text[10] = "";
    specimen_equal(pread(fd, text, 9, 0), 4);
    specimen_equal_text(text, "text");
    struct io_uring_sqe *entry = uring_next(&ring, 11);
    entry->opcode = IORING_OP_OPENAT;
    entry->fd = AT_FDCWD;
    entry->addr = (unsigned long)"file";
    entry->open_flags = O_RDONLY;
    entry->file_index = IORING_FILE_INDEX_ALLOC;
    specimen_equal(uring_submit(&ring, 1), 1);
    uring_expect(&ring, 11, 5);
    specimen_equal(add(&ring, -1, 599, 0), 1);
    specimen_equal(uring_enter(&ring, 0, 1), 0);
    uring_expect(&ring, 777, 0);
    specimen_equal(syscall(SYS_io_uring_register, ring.fd, IORING_UNREGISTER_FILES, NULL, 0), 0);
    return specimen_pass();
}
