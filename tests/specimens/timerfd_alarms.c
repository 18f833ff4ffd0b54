/* specimen: timerfd on the clocks that wake a sleeping machine | group: events | needs: root */
#include "events.h"

int main(void) {
    int real = events_timer(CLOCK_REALTIME_ALARM, 0), boot = events_timer(CLOCK_BOOTTIME_ALARM, 0);
    events_arm(real, 0, 7000, 3);
    events_arm(boot, 0, 0.5, 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(events_info(real, "clockid:", 10), CLOCK_REALTIME_ALARM);
    specimen_equal(events_info(boot, "clockid:", 10), CLOCK_BOOTTIME_ALARM);
    specimen_check(events_left(real) < 7000 && events_left(real) > 6000);
    specimen_equal(events_interval(real), 3);
    specimen_equal(events_ticks(boot), 1);
    return specimen_pass();
}
