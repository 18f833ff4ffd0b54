/* specimen: timerfd that expires after all | group: events | needs: nothing */
#include "events.h"

int main(void) {
    int fd = events_timer(CLOCK_MONOTONIC, 0);
    events_arm(fd, 0, 0.7, 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(events_ticks(fd), 1);
    specimen_equal(events_left(fd) * 1e9, 0);
    return specimen_pass();
}
