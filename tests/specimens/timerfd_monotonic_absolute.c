/* specimen: timerfd set to an absolute time of CLOCK_MONOTONIC, with an interval | group: events | needs: nothing */
#include "events.h"

int main(void) {
    int fd = events_timer(CLOCK_MONOTONIC, 0);
    double at = events_now(CLOCK_MONOTONIC) + 7000;
    events_arm(fd, TFD_TIMER_ABSTIME, at, 3);

    specimen_ready();
    specimen_wait();

    double error = events_now(CLOCK_MONOTONIC) + events_left(fd) - at;
    if (error < -0.2 || error > 0.2) specimen_fail("it would expire %f s late", error);
    specimen_equal(events_info(fd, "settime flags:", 8), TFD_TIMER_ABSTIME);
    specimen_equal(events_interval(fd), 3);
    return specimen_pass();
}
