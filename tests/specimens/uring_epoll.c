/* specimen: io_uring that an epoll instance watches, and a worker thread of its own | group: objects | needs: root, io_uring with its structures in BTF */
#include "uring.h"

#include <sys/epoll.h>

int main(void) {
    struct uring ring = uring_make(8, 0, 0);
    int epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 9};
    specimen_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, ring.fd, &event), 0);
    int fd = files_open_at(50, "file", O_RDWR | O_CREAT);
    struct io_uring_sqe *entry = uring_next(&ring, 3); /* which a worker does */
    entry->opcode = IORING_OP_FSYNC;
    entry->fd = fd;
    entry->flags = IOSQE_ASYNC;
    specimen_equal(uring_submit(&ring, 1), 1);
    uring_expect(&ring, 3, 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(epoll_wait(epoll, &event, 1, 0), 0);
    entry = uring_next(&ring, 4);
    entry->opcode = IORING_OP_FSYNC;
    entry->fd = fd;
    entry->flags = IOSQE_ASYNC;
    specimen_equal(uring_submit(&ring, 0), 1);
    specimen_equal(epoll_wait(epoll, &event, 1, 10000), 1);
    specimen_equal(event.data.u64, 9);
    uring_expect(&ring, 4, 0);
    return specimen_pass();
}
