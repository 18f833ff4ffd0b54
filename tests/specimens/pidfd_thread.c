/* specimen: pidfd of a thread (PIDFD_THREAD) | group: objects | needs: pidfds of threads */
#include "pidfd.h"
#include "worker.h"

static void run(struct worker *me) { worker_turn(me); }

int main(void) {
    struct worker *worker = worker_start(run, NULL);
    int fd = pidfd_new(worker->tid, PIDFD_THREAD);

    specimen_ready();
    specimen_wait();

    specimen_equal(pidfd_is_over(fd), 0);
    worker_end(worker);
    pidfd_await(fd);
    return specimen_pass();
}
