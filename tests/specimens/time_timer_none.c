/* specimen: timers that tell nobody (SIGEV_NONE): they are read | group: time | needs: nothing */
#include "timers.h"

int main(void) {
    char before[4096], after[4096];
    struct sigevent event = timers_event(SIGEV_NONE, 0, 0, 0);
    int once = timers_create(CLOCK_MONOTONIC, &event), often = timers_create(CLOCK_REALTIME, &event);
    timers_set(once, 3000, 0);
    timers_set(often, 1000, 500);
    timers_listed(before, sizeof before);

    specimen_ready();
    specimen_wait();

    specimen_equal_text(timers_listed(after, sizeof after), before);
    timers_expect_left(timers_left(once), 3000);
    timers_expect_left(timers_left(often), 1000);
    specimen_equal(timers_get(often).it_interval.tv_sec, 500);
    timers_set(once, 0.001, 0);
    while (timers_left(once) > 0) sched_yield();
    return specimen_pass();
}
