/* specimen: timerfd set to a time of day, to be told when the clock is set | group: events | needs: nothing */
#include "events.h"

int main(void) {
    int fd = events_timer(CLOCK_REALTIME, 0);
    double at = (double)(long)events_now(CLOCK_REALTIME) + 7000;
    events_arm(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, at, 0);

    specimen_ready();
    specimen_wait();

    double error = events_now(CLOCK_REALTIME) + events_left(fd) - at;
    if (error < -0.2 || error > 0.2) specimen_fail("it would expire %f s late", error);
    specimen_equal(events_info(fd, "settime flags:", 8), TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET);
    return specimen_pass();
}
