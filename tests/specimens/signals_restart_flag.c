/* specimen: after the restart a handler still interrupts a call, and with SA_RESTART it does not | group: signals | needs: nothing */
#include "signals.h"
#include "sleeper.h"

static int ends[2];
static volatile sig_atomic_t hits;
static void hit(int number) { (void)number, hits++; }
static long read_there(void) {
    char byte;
    /* SIGUSR1, with SA_RESTART, must be let in besides the sleeper's own signal. */
    signals_set_mask(~(signals_bit(SIGUSR1) | signals_bit(SIGUSR2)));
    return read(ends[0], &byte, 1);
}

int main(void) {
    struct sigaction action = {.sa_handler = hit, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
    specimen_equal(pipe(ends), 0);
    struct sleeper *one = sleeper_start(read_there, SYS_read), *other = sleeper_start(read_there, SYS_read);

    specimen_ready();
    specimen_wait();

    sleeper_still(one);
    sleeper_still(other);
    specimen_equal(pthread_kill(one->thread, SIGUSR1), 0);
    while (!hits) sched_yield();
    sleeper_still(one);
    sleeper_interrupt(other);
    sleeper_returns(other, -1, EINTR);
    specimen_equal(write(ends[1], "x", 1), 1);
    sleeper_returns(one, 1, 0);
    return specimen_pass();
}
