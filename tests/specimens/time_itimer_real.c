/* specimen: ITIMER_REAL: remaining time and interval | group: time | needs: nothing */
#include "timers.h"

int main(void) {
    struct itimerval wanted = {{77, 500000}, {5000, 250000}}, before, after;
    specimen_equal(setitimer(ITIMER_REAL, &wanted, NULL), 0);
    specimen_equal(getitimer(ITIMER_REAL, &before), 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(getitimer(ITIMER_REAL, &after), 0);
    specimen_equal(after.it_interval.tv_sec, 77);
    specimen_equal(after.it_interval.tv_usec, 500000);
    timers_expect_left((double)after.it_value.tv_sec + (double)after.it_value.tv_usec / 1e6, 5000.25);
    for (int which = ITIMER_VIRTUAL; which <= ITIMER_PROF; which++) {
        specimen_equal(getitimer(which, &after), 0);
        specimen_equal(after.it_value.tv_sec + after.it_value.tv_usec + after.it_interval.tv_sec, 0);
    }
    return specimen_pass();
}
