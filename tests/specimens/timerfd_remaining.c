/* specimen: timerfd with time left and an interval | group: events | needs: nothing */
#include "events.h"

int main(void) {
    int fd = events_timer(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    events_arm(fd, 0, 5000, 70.25);
    double before = events_left(fd);

    specimen_ready();
    specimen_wait();

    double left = events_left(fd);
    if (left > before || left < before - 600) specimen_fail("%f s are left, there were %f", left, before);
    specimen_equal(events_interval(fd) * 1000, 70250);
    specimen_equal(files_flags(fd), O_RDWR | O_NONBLOCK);
    specimen_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    uint64_t ticks;
    files_fails(read(fd, &ticks, sizeof ticks), EAGAIN);
    return specimen_pass();
}
