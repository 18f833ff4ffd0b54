/* specimen: sleeps of three seconds end by themselves, and none of them early | group: time | needs: nothing */
#include "sleeper.h"

enum { SECONDS = 3 };
static double started;
static struct timespec span = {SECONDS, 0}, moment;
static long relative(void) { return syscall(SYS_nanosleep, &span, NULL); }
static long absolute(void) { return syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &moment, NULL); }

int main(void) {
    clock_gettime(CLOCK_MONOTONIC, &moment);
    started = (double)moment.tv_sec + (double)moment.tv_nsec / 1e9;
    moment.tv_sec += SECONDS;
    struct sleeper *one = sleeper_start(relative, SYS_nanosleep), *other = sleeper_start(absolute, SYS_clock_nanosleep);

    specimen_ready();
    specimen_wait();

    sleeper_returns(one, 0, 0);
    sleeper_returns(other, 0, 0);
    specimen_check(sleeper_clock(CLOCK_MONOTONIC) >= started + SECONDS);
    return specimen_pass();
}
