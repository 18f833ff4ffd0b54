/* specimen: pidfds of a child that epoll and a blocked poll wait for | group: objects | needs: nothing */
#include "events.h"
#include "pidfd.h"
#include "worker.h"

static void waiter(struct worker *me) {
    sigset_t term;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &term, NULL);
    worker_turn(me);
    pidfd_await(*(int *)me->data);
}

int main(void) {
    struct peer *peer = peer_start(pidfd_sleeper);
    int fd = pidfd_new(peer->pid, 0), epoll = epoll_create1(0);
    events_add(epoll, fd, EPOLLIN, 11);
    struct worker *worker = worker_start(waiter, &fd);
    worker_tell(worker);
    peer_await_call(worker->tid, SYS_poll);

    specimen_ready();
    specimen_wait();

    events_expect_none(epoll);
    peer_tell(peer);
    events_expect(epoll, EPOLLIN, 11, 20000);
    specimen_equal(pthread_join(worker->thread, NULL), 0);
    peer_reap(peer);
    return specimen_pass();
}
