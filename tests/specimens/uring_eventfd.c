/* specimen: io_uring that tells an eventfd of completions, and one that does so only of those that took a while | group: objects | needs: root, io_uring with its structures in BTF */
#include "uring.h"

#include <sys/eventfd.h>

static void expect(int fd, unsigned long long expected) {
    unsigned long long found = 0;
    if (read(fd, &found, sizeof found) < 0) specimen_equal(errno, EAGAIN);
    specimen_equal(found, expected);
}

int main(void) {
    struct uring ring = uring_make(8, 0, 0), later = uring_make(8, 0, 0);
    int fd = eventfd(0, EFD_NONBLOCK), async = eventfd(5, EFD_NONBLOCK);
    specimen_equal(syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_EVENTFD, &fd, 1), 0);
    specimen_equal(syscall(SYS_io_uring_register, later.fd, IORING_REGISTER_EVENTFD_ASYNC, &async, 1), 0);
    uring_spend(&ring, 3);
    uring_spend(&later, 30);

    specimen_ready();
    specimen_wait();

    expect(fd, 3);
    expect(async, 5);
    uring_spend(&ring, 2);
    expect(fd, 2);
    uring_spend(&later, 2);
    expect(async, 0);
    specimen_equal(syscall(SYS_io_uring_register, later.fd, IORING_UNREGISTER_EVENTFD, NULL, 0), 0);
    specimen_equal(syscall(SYS_io_uring_register, ring.fd, IORING_UNREGISTER_EVENTFD, NULL, 0), 0);
    return specimen_pass();
}
