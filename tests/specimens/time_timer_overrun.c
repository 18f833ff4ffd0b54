/* specimen: overrun count of a timer's last signal (timer_getoverrun(2)) | group: time | needs: nothing */
#include "timers.h"

int main(void) {
    timers_block(SIGRTMIN + 2);
    struct sigevent event = timers_event(SIGEV_SIGNAL, SIGRTMIN + 2, 9, 0);
    int id = timers_create(CLOCK_MONOTONIC, &event);
    timers_set(id, 0.001, 0.001);
    nanosleep(&(struct timespec){0, 30 * 1000 * 1000}, NULL);
    timers_expect_signal(SIGRTMIN + 2, id, 9);
    int overrun = timers_overrun(id);
    specimen_check(overrun >= 10);
    timers_set(id, 0, 0);
    /* Disarmed in the same millisecond the timer may have gone off once more. */
    while (sigtimedwait(&(sigset_t){{1ul << (SIGRTMIN + 1)}}, NULL, &(struct timespec){0, 0}) > 0) {}
    overrun = timers_overrun(id);

    specimen_ready();
    specimen_wait();

    specimen_equal(timers_overrun(id), overrun);
    timers_expect_no_signal(SIGRTMIN + 2);
    timers_set(id, 0.001, 0.001);
    nanosleep(&(struct timespec){0, 30 * 1000 * 1000}, NULL);
    timers_expect_signal(SIGRTMIN + 2, id, 9);
    specimen_check(timers_overrun(id) >= 10);
    return specimen_pass();
}
