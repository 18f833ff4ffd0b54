/* specimen: threads in futex(2), with a relative, an absolute and no timeout, sleep on | group: signals | needs: nothing */
#include "sleeper.h"

#include <linux/futex.h>
#include <stdint.h>

static uint32_t words[4];
static struct timespec hour = {3600, 0}, then;

static long relative(void) { return syscall(SYS_futex, &words[0], FUTEX_WAIT, 0, &hour, NULL, 0); }
static long absolute(void) {
    return syscall(SYS_futex, &words[1], FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 0, &then, NULL, 1);
}
static long endless(void) { return syscall(SYS_futex, &words[2], FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0); }
static long interrupted(void) { return syscall(SYS_futex, &words[3], FUTEX_WAIT, 0, &hour, NULL, 0); }

int main(void) {
    clock_gettime(CLOCK_MONOTONIC, &then);
    then.tv_sec += 3600;
    struct sleeper *sleepers[] = {sleeper_start(relative, SYS_futex), sleeper_start(absolute, SYS_futex),
                                  sleeper_start(endless, SYS_futex), sleeper_start(interrupted, SYS_futex)};

    specimen_ready();
    specimen_wait();

    for (int i = 0; i < 4; i++) sleeper_still(sleepers[i]);
    for (int i = 0; i < 3; i++)
        specimen_equal(syscall(SYS_futex, &words[i], i ? FUTEX_WAKE_PRIVATE : FUTEX_WAKE, 1, NULL, NULL, 0), 1);
    for (int i = 0; i < 3; i++) sleeper_returns(sleepers[i], 0, 0);
    sleeper_interrupt(sleepers[3]);
    sleeper_returns(sleepers[3], -1, EINTR);
    return specimen_pass();
}
