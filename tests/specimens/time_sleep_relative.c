/* specimen: threads that sleep for an hour (nanosleep, clock_nanosleep) sleep on, and learn what is left of it | group: time | needs: nothing */
#include "sleeper.h"
#include "timers.h"

static struct timespec hour = {3600, 0}, left[3];
static long plainly(void) { return syscall(SYS_nanosleep, &hour, &left[0]); }
static long boottime(void) { return syscall(SYS_clock_nanosleep, CLOCK_BOOTTIME, 0, &hour, &left[1]); }
static long realtime(void) { return syscall(SYS_clock_nanosleep, CLOCK_REALTIME, 0, &hour, &left[2]); }

int main(void) {
    struct sleeper *sleepers[] = {sleeper_start(plainly, SYS_nanosleep), sleeper_start(boottime, SYS_clock_nanosleep),
                                  sleeper_start(realtime, SYS_clock_nanosleep)};

    specimen_ready();
    specimen_wait();

    for (int i = 0; i < 3; i++) {
        sleeper_still(sleepers[i]);
        sleeper_interrupt(sleepers[i]);
        sleeper_returns(sleepers[i], -1, EINTR);
        timers_expect_left(timers_seconds(left[i]), 3600.001); /* timer slack counts as time that is left */
    }
    return specimen_pass();
}
