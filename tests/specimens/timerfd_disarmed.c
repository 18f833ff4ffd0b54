/* specimen: timerfd that was never set, and one that has expired for good | group: events | needs: nothing */
#include "events.h"

int main(void) {
    int never = events_timer(CLOCK_BOOTTIME, TFD_NONBLOCK), once = events_timer(CLOCK_MONOTONIC, TFD_NONBLOCK);
    events_arm(once, 0, 0.000001, 0);
    specimen_equal(poll(&(struct pollfd){.fd = once, .events = POLLIN}, 1, 10000), 1);

    specimen_ready();
    specimen_wait();

    specimen_equal(files_poll(never), 0);
    specimen_equal(events_left(never) * 1e9, 0);
    specimen_equal(events_left(once) * 1e9, 0);
    specimen_equal(events_ticks(once), 1);
    specimen_equal(files_poll(once), 0);
    events_arm(never, 0, 0.001, 0);
    specimen_equal(poll(&(struct pollfd){.fd = never, .events = POLLIN}, 1, 10000), 1);
    return specimen_pass();
}
