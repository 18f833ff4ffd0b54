/* specimen: timers that send their signal to one thread (SIGEV_THREAD_ID) | group: time | needs: nothing */
#include "timers.h"
#include "worker.h"

static int timers[2];

static void run(struct worker *me) {
    int which = *(int *)me->data;
    worker_turn(me);
    timers_set(timers[which], 0.001, 0);
    timers_expect_signal(SIGUSR1, timers[which], 70 + which);
}

int main(void) {
    static int numbers[2] = {0, 1};
    char before[4096], after[4096];
    struct worker *workers[2];
    timers_block(SIGUSR1);
    for (int i = 0; i < 2; i++) {
        workers[i] = worker_start(run, &numbers[i]);
        struct sigevent event = timers_event(SIGEV_THREAD_ID, SIGUSR1, 70 + i, workers[i]->tid);
        timers[i] = timers_create(CLOCK_MONOTONIC, &event);
        timers_set(timers[i], 2000 + i, 0);
    }
    timers_listed(before, sizeof before);

    specimen_ready();
    specimen_wait();

    specimen_equal_text(timers_listed(after, sizeof after), before);
    for (int i = 0; i < 2; i++) timers_expect_left(timers_left(timers[i]), 2000 + i);
    worker_end(workers[1]);
    worker_end(workers[0]);
    timers_expect_no_signal(SIGUSR1);
    return specimen_pass();
}
