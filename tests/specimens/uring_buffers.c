/* specimen: io_uring with registered buffers, of a child too, and of huge pages | group: objects | needs: root, io_uring with its structures in BTF */
#include "uring.h"
#include "peer.h"

#include <sys/uio.h>

#define LARGE (4 << 20)

/* Registers memory, and reads a file of "before" to it. */
static struct uring start(char *small, char *large, int fd) {
    struct uring ring = uring_make(8, 0, 0);
    struct iovec buffers[] = {{small, 5000}, {NULL, 0}, {large + 100, LARGE - 100}};
    specimen_equal(syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_BUFFERS, buffers, 3), 0);
    (void)fd;
    return ring;
}

static void read_fixed(struct uring *ring, int fd, char *to, int buffer, int result) {
    struct io_uring_sqe *entry = uring_next(ring, 5);
    entry->opcode = IORING_OP_READ_FIXED;
    entry->fd = fd;
    entry->addr = (unsigned long)to;
    entry->len = 6;
    entry->buf_index = (unsigned short)buffer;
    specimen_equal(uring_submit(ring, 1), 1);
    uring_expect(ring, 5, result);
}

static void check(struct uring *ring, char *small, char *large, int fd) {
    specimen_check(!memcmp(small + 70, "before", 6));
    read_fixed(ring, fd, small + 4994, 0, 6);
    specimen_check(!memcmp(small + 4994, "before", 6));
    specimen_check(!memcmp(small + 70, "before", 6));
    read_fixed(ring, fd, small + 4995, 0, -EFAULT);
    read_fixed(ring, fd, small, 1, -EFAULT);
    read_fixed(ring, fd, large + LARGE - 6, 2, 6);
    specimen_check(!memcmp(large + LARGE - 6, "before", 6));
    specimen_equal(large[100], 'x');
    specimen_equal(syscall(SYS_io_uring_register, ring->fd, IORING_UNREGISTER_BUFFERS, NULL, 0), 0);
}

static char area[9000];
static char *large;
static int fd;

static void child(struct peer *me) {
    struct uring ring = start(area + 3000, large, fd);
    read_fixed(&ring, fd, area + 3070, 0, 6);
    large[100] = 'x';
    peer_turn(me);
    check(&ring, area + 3000, large, fd);
}

int main(void) {
    fd = files_open_at(50, "file", O_RDWR | O_CREAT);
    specimen_equal(pwrite(fd, "before", 6, 0), 6);
    large = mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    madvise(large, LARGE, MADV_HUGEPAGE);
    large[100] = 'x';
    struct uring ring = start(area, large, fd);
    read_fixed(&ring, fd, area + 70, 0, 6);
    struct peer *peer = peer_start(child);

    specimen_ready();
    specimen_wait();

    check(&ring, area, large, fd);
    peer_end(peer);
    return specimen_pass();
}
