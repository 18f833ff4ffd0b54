/* specimen: timerfd with expirations that nobody has read | group: events | needs: nothing */
#include "events.h"

/* Ten fast ticks, and then a slow timer: its first expiration is hours away, so the count must be exact. */
int main(void) {
    int fd = events_timer(CLOCK_MONOTONIC, 0);
    uint64_t ticks = 123456789012ull;
    if (ioctl(fd, TFD_IOC_SET_TICKS, &ticks)) specimen_skip("no TFD_IOC_SET_TICKS");
    events_arm(fd, 0, 9000, 9000);
    specimen_equal(ioctl(fd, TFD_IOC_SET_TICKS, &ticks), 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(files_poll(fd), POLLIN);
    specimen_equal(events_ticks(fd), 123456789012ull);
    specimen_equal(files_poll(fd), 0);
    specimen_check(events_left(fd) > 8000);
    return specimen_pass();
}
