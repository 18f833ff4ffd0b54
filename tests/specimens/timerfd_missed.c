/* specimen: timerfd that has expired many times unseen: they are counted, and its beat goes on | group: events | needs: nothing */
#include "events.h"

int main(void) {
    int fd = events_timer(CLOCK_MONOTONIC, 0);
    events_arm(fd, 0, 0.01, 0.01);
    double start = events_now(CLOCK_MONOTONIC);
    while (events_now(CLOCK_MONOTONIC) < start + 0.2) {}

    specimen_ready();
    specimen_wait();

    uint64_t ticks = events_ticks(fd);
    double passed = events_now(CLOCK_MONOTONIC) - start;
    if (ticks < 19 || (double)ticks > passed / 0.01 + 1) specimen_fail("%llu ticks in %f s", (unsigned long long)ticks, passed);
    specimen_check(events_ticks(fd) >= 1);
    specimen_check(events_left(fd) <= 0.01);
    return specimen_pass();
}
