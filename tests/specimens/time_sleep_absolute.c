/* specimen: threads that sleep until a moment of a clock (TIMER_ABSTIME) sleep on | group: time | needs: nothing */
#include "sleeper.h"

static struct timespec monotonic, realtime;
static long until_monotonic(void) { return syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &monotonic, NULL); }
static long until_realtime(void) { return syscall(SYS_clock_nanosleep, CLOCK_REALTIME, TIMER_ABSTIME, &realtime, NULL); }

int main(void) {
    clock_gettime(CLOCK_MONOTONIC, &monotonic), clock_gettime(CLOCK_REALTIME, &realtime);
    monotonic.tv_sec += 3600, realtime.tv_sec += 3600;
    struct sleeper *one = sleeper_start(until_monotonic, SYS_clock_nanosleep);
    struct sleeper *other = sleeper_start(until_realtime, SYS_clock_nanosleep);

    specimen_ready();
    specimen_wait();

    sleeper_still(one);
    sleeper_still(other);
    sleeper_interrupt(one);
    sleeper_interrupt(other);
    sleeper_returns(one, -1, EINTR);
    sleeper_returns(other, -1, EINTR);
    return specimen_pass();
}
