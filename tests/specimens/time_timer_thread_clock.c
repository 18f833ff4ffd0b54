/* specimen: a timer on the CPU clock of another thread: it goes off when that thread has worked | group: time | needs: nothing */
#include "timers.h"
#include "worker.h"

static void run(struct worker *me) {
    worker_turn(me);
    timers_burn(0.05);
    worker_turn(me);
}

int main(void) {
    clockid_t clock;
    char before[4096], after[4096];
    timers_block(SIGUSR2);
    struct worker *worker = worker_start(run, NULL);
    specimen_equal(pthread_getcpuclockid(worker->thread, &clock), 0);
    struct sigevent event = timers_event(SIGEV_SIGNAL, SIGUSR2, 31, 0);
    int id = timers_create(clock, &event);
    timers_set(id, 100, 0);
    timers_listed(before, sizeof before);

    specimen_ready();
    specimen_wait();

    specimen_equal_text(timers_listed(after, sizeof after), before);
    timers_expect_left(timers_left(id), 100);
    timers_set(id, 0.03, 0);
    timers_burn(0.05);
    timers_expect_no_signal(SIGUSR2);
    worker_step(worker);
    timers_expect_signal(SIGUSR2, id, 31);
    worker_end(worker);
    return specimen_pass();
}
