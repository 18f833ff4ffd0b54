/* specimen: io_uring to which one thread alone may submit, with files, a buffer, an eventfd and a number of its own | group: objects | needs: root, io_uring with its structures in BTF */
#include "uring.h"

#include <pthread.h>
#include <semaphore.h>
#include <sys/eventfd.h>
#include <sys/uio.h>

static struct uring ring;
static sem_t made, more;
static char area[5000];
static int event, self;

static void *issuer(void *nothing) {
    ring = uring_make(4, 32, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
    uring_spend(&ring, 7);
    int fds[] = {50, self}; /* the latter can only be opened again when all are born */
    struct iovec buffer = {area + 1, 4999};
    specimen_equal(syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES, fds, 2), 0);
    specimen_equal(syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_BUFFERS, &buffer, 1), 0);
    specimen_equal(syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_EVENTFD, &event, 1), 0);
    struct io_uring_rsrc_update number = {.offset = 3, .data = (unsigned long long)ring.fd};
    specimen_equal(syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_RING_FDS, &number, 1), 1);
    sem_post(&made);
    while (sem_wait(&more)) continue;
    struct io_uring_sqe *entry = uring_next(&ring, 8);
    entry->opcode = IORING_OP_READ_FIXED;
    entry->flags = IOSQE_FIXED_FILE;
    entry->fd = 0;
    entry->addr = (unsigned long)area + 4990;
    entry->len = 6;
    *uring_word(&ring, ring.params.sq_off.tail) = ring.submitted;
    unsigned flags = IORING_ENTER_REGISTERED_RING | IORING_ENTER_GETEVENTS;
    specimen_equal(syscall(SYS_io_uring_enter, 3, 1, 1, flags, NULL, 0), 1);
    uring_expect(&ring, 8, 6);
    specimen_check(!memcmp(area + 4990, "before", 6));
    entry = uring_next(&ring, 9);
    entry->opcode = IORING_OP_READ;
    entry->flags = IOSQE_FIXED_FILE;
    entry->fd = 1;
    entry->addr = (unsigned long)area;
    entry->len = 10;
    specimen_equal(uring_submit(&ring, 1), 1);
    uring_expect(&ring, 9, 10);
    specimen_check(!memcmp(area, "Name:\t", 6));
    unsigned long long count = 0;
    specimen_equal(read(event, &count, sizeof count), 8);
    specimen_check(count >= 2); /* once more where work was deferred */
    return nothing;
}

int main(void) {
    pthread_t thread;
    int fd = files_open_at(50, "file", O_RDWR | O_CREAT);
    specimen_equal(pwrite(fd, "before", 6, 0), 6);
    event = eventfd(0, EFD_NONBLOCK);
    self = open("/proc/self/status", O_RDONLY);
    specimen_equal(pthread_create(&thread, NULL, issuer, NULL), 0);
    while (sem_wait(&made)) continue;

    specimen_ready();
    specimen_wait();

    sem_post(&more);
    specimen_equal(pthread_join(thread, NULL), 0);
    return specimen_pass();
}
