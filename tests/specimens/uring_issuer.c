/* specimen: io_uring to which one thread alone may submit, with deferred work | group: objects | needs: root, io_uring with its structures in BTF */
#include "uring.h"

#include <pthread.h>
#include <semaphore.h>

static struct uring ring;
static sem_t made, more;

static void *issuer(void *nothing) {
    ring = uring_make(4, 32, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL);
    uring_spend(&ring, 70);
    uring_next(&ring, 71);
    specimen_equal(uring_submit(&ring, 1), 1);
    sem_post(&made);
    while (sem_wait(&more)) continue;
    uring_expect(&ring, 71, 0);
    uring_spend(&ring, 70);
    uring_next(&ring, 1)->opcode = 255; /* does not end what is submitted with it (IORING_SETUP_SUBMIT_ALL) */
    uring_next(&ring, 2);
    specimen_equal(uring_submit(&ring, 2), 2);
    uring_expect(&ring, 1, -EINVAL);
    uring_expect(&ring, 2, 0);
    return nothing;
}

int main(void) {
    pthread_t thread;
    specimen_equal(pthread_create(&thread, NULL, issuer, NULL), 0);
    while (sem_wait(&made)) continue;

    specimen_ready();
    specimen_wait();

    struct { struct io_uring_probe head; struct io_uring_probe_op more[4]; } probe;
    memset(&probe, 0, sizeof probe);
    specimen_equal(syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_PROBE, &probe, 4), -1);
    specimen_equal(errno, EEXIST);
    sem_post(&more);
    specimen_equal(pthread_join(thread, NULL), 0);
    return specimen_pass();
}
