/* specimen: timerfd that an epoll instance watches, and a thread waits | group: events | needs: nothing */
#include "events.h"
#include "peer.h"
#include "worker.h"

static int epoll, timer;

static void waiter(struct worker *me) {
    sigset_t term = events_set(SIGTERM, 0);
    pthread_sigmask(SIG_BLOCK, &term, NULL);
    worker_turn(me);
    events_expect(epoll, EPOLLIN, 5, 60000);
    specimen_equal(events_ticks(timer), 1);
}

int main(void) {
    epoll = epoll_create1(0), timer = events_timer(CLOCK_BOOTTIME, 0);
    events_add(epoll, timer, EPOLLIN, 5);
    struct worker *worker = worker_start(waiter, NULL);
    worker_tell(worker);
    peer_await_call(worker->tid, SYS_epoll_wait);
    events_arm(timer, 0, 0.5, 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(pthread_join(worker->thread, NULL), 0);
    return specimen_pass();
}
