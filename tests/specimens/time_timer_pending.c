/* specimen: a timer went off and its blocked signal is pending, for the process and for a thread | group: time | needs: nothing */
#include "timers.h"
#include "worker.h"

static int own, its;

static void run(struct worker *me) {
    worker_turn(me);
    timers_expect_signal(SIGRTMIN + 5, its, 51);
    timers_expect_no_signal(SIGRTMIN + 5);
}

int main(void) {
    timers_block(SIGRTMIN + 4), timers_block(SIGRTMIN + 5);
    struct worker *worker = worker_start(run, NULL);
    struct sigevent event = timers_event(SIGEV_SIGNAL, SIGRTMIN + 4, 41, 0);
    struct sigevent its_event = timers_event(SIGEV_THREAD_ID, SIGRTMIN + 5, 51, worker->tid);
    own = timers_create(CLOCK_MONOTONIC, &event);
    its = timers_create(CLOCK_MONOTONIC, &its_event);
    timers_set(own, 0.001, 0), timers_set(its, 0.001, 0);
    while (!(task_status_hex(getpid(), "ShdPnd") >> (SIGRTMIN + 3) & 1)) sched_yield();
    while (!(task_status_hex(worker->tid, "SigPnd") >> (SIGRTMIN + 4) & 1)) sched_yield();

    specimen_ready();
    specimen_wait();

    specimen_check(timers_left(own) == 0);
    timers_expect_signal(SIGRTMIN + 4, own, 41);
    specimen_equal(timers_overrun(own), 0);
    timers_expect_no_signal(SIGRTMIN + 4);
    worker_end(worker);
    timers_set(own, 0.001, 0);
    timers_expect_signal(SIGRTMIN + 4, own, 41);
    return specimen_pass();
}
