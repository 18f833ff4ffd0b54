/* specimen: timers of every clock: wall clocks go on while the process sleeps, CPU clocks do not | group: time | needs: nothing */
#include "timers.h"

static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME,
                                   CLOCK_TAI, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID};
enum { COUNT = sizeof clocks / sizeof *clocks, FIRST_CPU = 4 };

int main(void) {
    int ids[COUNT];
    double left[COUNT];
    char before[4096], after[4096];
    timers_block(SIGUSR1);
    for (int i = 0; i < COUNT; i++) {
        struct sigevent event = timers_event(SIGEV_SIGNAL, SIGUSR1, 500 + i, 0);
        ids[i] = timers_create(clocks[i], &event);
        timers_set(ids[i], 2000 + 100 * i, 30 + i);
    }
    timers_listed(before, sizeof before);

    specimen_ready();
    specimen_wait();

    specimen_equal_text(timers_listed(after, sizeof after), before);
    for (int i = 0; i < COUNT; i++) {
        left[i] = timers_left(ids[i]);
        timers_expect_left(left[i], 2000 + 100 * i);
        specimen_equal(timers_get(ids[i]).it_interval.tv_sec, 30 + i);
    }
    nanosleep(&(struct timespec){0, 100 * 1000 * 1000}, NULL);
    for (int i = 0; i < COUNT; i++) {
        double passed = left[i] - timers_left(ids[i]);
        if ((passed > 0.09) != (i < FIRST_CPU)) specimen_fail("clock %d: %f s passed in a sleep", (int)clocks[i], passed);
    }
    for (int i = 0; i < COUNT; i++) {
        timers_set(ids[i], 0.001, 0);
        if (i >= FIRST_CPU) timers_burn(0.05);
        timers_expect_signal(SIGUSR1, ids[i], 500 + i);
    }
    return specimen_pass();
}
