/* specimen: threads in pause(2) and sigsuspend(2) sleep on until a handler has run | group: signals | needs: nothing */
#include "signals.h"
#include "sleeper.h"

static volatile sig_atomic_t hits;
static void hit(int number) { (void)number, hits++; }
static long pause_there(void) { return syscall(SYS_pause); }
static long suspend_there(void) {
    uint64_t within = ~signals_bit(SIGUSR1), outside = signals_mask();
    long result = syscall(SYS_rt_sigsuspend, &within, 8);
    int saved = errno;
    specimen_equal(signals_mask(), outside);
    errno = saved;
    return result;
}

int main(void) {
    struct sigaction action = {.sa_handler = hit, .sa_flags = SA_RESTART}; /* which these calls do not care about */
    sigaction(SIGUSR1, &action, NULL);
    struct sleeper *one = sleeper_start(pause_there, SYS_pause), *other = sleeper_start(suspend_there, SYS_rt_sigsuspend);

    specimen_ready();
    specimen_wait();

    sleeper_still(one);
    sleeper_still(other);
    sleeper_interrupt(one);
    sleeper_returns(one, -1, EINTR);
    specimen_equal(pthread_kill(other->thread, SIGUSR2), 0); /* blocked within the call */
    sleeper_still(other);
    specimen_equal(hits, 0);
    specimen_equal(pthread_kill(other->thread, SIGUSR1), 0);
    sleeper_returns(other, -1, EINTR);
    specimen_equal(hits, 1);
    return specimen_pass();
}
