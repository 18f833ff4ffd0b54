/* specimen: timers that send signals: number, value, remaining time, interval; and by default SIGALRM | group: time | needs: nothing */
#include "timers.h"

int main(void) {
    char before[4096], after[4096];
    timers_block(SIGRTMIN + 1), timers_block(SIGALRM);
    struct sigevent event = timers_event(SIGEV_SIGNAL, SIGRTMIN + 1, 0x123456789abc, 0);
    int chosen = timers_create(CLOCK_MONOTONIC, &event), usual = timers_create(CLOCK_MONOTONIC, NULL);
    timers_set(chosen, 4000.5, 33.25);
    timers_set(usual, 6000, 0);
    timers_listed(before, sizeof before);

    specimen_ready();
    specimen_wait();

    specimen_equal_text(timers_listed(after, sizeof after), before);
    struct itimerspec found = timers_get(chosen);
    timers_expect_left(timers_seconds(found.it_value), 4000.5);
    specimen_equal(found.it_interval.tv_sec, 33);
    specimen_equal(found.it_interval.tv_nsec, 250000000);
    found = timers_get(usual);
    timers_expect_left(timers_seconds(found.it_value), 6000);
    specimen_check(found.it_interval.tv_sec == 0 && found.it_interval.tv_nsec == 0);
    timers_set(chosen, 0.001, 0);
    timers_expect_signal(SIGRTMIN + 1, chosen, 0x123456789abc);
    timers_set(usual, 0.001, 0);
    timers_expect_signal(SIGALRM, usual, usual);
    return specimen_pass();
}
