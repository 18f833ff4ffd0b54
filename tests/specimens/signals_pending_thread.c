/* specimen: standard signals pending for single threads | group: signals | needs: nothing */
#include "signals.h"

enum { COUNT = 2 };
static const int wanted[COUNT] = {SIGUSR1, SIGUSR2};

static void run(struct worker *me) {
    siginfo_t info;
    int number = *(const int *)me->data;
    worker_turn(me);
    specimen_equal(task_status_hex(me->tid, "SigPnd"), signals_bit(number));
    specimen_equal(task_status_hex(me->tid, "ShdPnd"), 0);
    specimen_equal(signals_take(~(uint64_t)0, &info), number);
    specimen_equal(info.si_code, SI_TKILL);
    specimen_equal(info.si_pid, getpid());
    signals_none(~(uint64_t)0);
}

int main(void) {
    struct worker *workers[COUNT];
    signals_set_mask(signals_bit(SIGUSR1) | signals_bit(SIGUSR2) | signals_bit(SIGQUIT));
    for (int i = 0; i < COUNT; i++) {
        workers[i] = worker_start(run, (void *)&wanted[i]);
        specimen_equal(pthread_kill(workers[i]->thread, wanted[i]), 0);
    }
    specimen_equal(raise(SIGQUIT), 0); /* raise(3) sends it to the calling thread */

    specimen_ready();
    specimen_wait();

    siginfo_t info;
    specimen_equal(task_status_hex(getpid(), "SigPnd"), signals_bit(SIGQUIT));
    specimen_equal(task_status_hex(getpid(), "ShdPnd"), 0);
    specimen_equal(signals_take(~(uint64_t)0, &info), SIGQUIT);
    for (int i = 0; i < COUNT; i++) worker_end(workers[i]);
    return specimen_pass();
}
