/* specimen: thread that is blocked in a read of a signalfd | group: events | needs: nothing */
#include "events.h"
#include "peer.h"
#include "worker.h"

static void reader(struct worker *me) {
    sigset_t term = events_set(SIGTERM, 0);
    pthread_sigmask(SIG_BLOCK, &term, NULL);
    worker_turn(me);
    events_expect_signal(*(int *)me->data, SIGUSR1);
}

int main(void) {
    int fd = events_signalfd(SIGUSR1, 0, 0);
    struct worker *worker = worker_start(reader, &fd);
    worker_tell(worker);
    peer_await_call(worker->tid, SYS_read);

    specimen_ready();
    specimen_wait();

    syscall(SYS_tgkill, getpid(), worker->tid, SIGUSR1);
    specimen_equal(pthread_join(worker->thread, NULL), 0);
    return specimen_pass();
}
