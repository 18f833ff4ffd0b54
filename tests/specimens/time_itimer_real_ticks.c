/* specimen: ITIMER_REAL ticks on, every 20 ms | group: time | needs: nothing */
#include "timers.h"

static volatile sig_atomic_t ticks;
static void tick(int number) { (void)number, ticks++; }

int main(void) {
    struct sigaction action = {.sa_handler = tick};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval wanted = {{0, 20000}, {0, 20000}};
    specimen_equal(setitimer(ITIMER_REAL, &wanted, NULL), 0);
    while (ticks < 3) sched_yield();

    specimen_ready();
    specimen_wait();

    int before = ticks;
    specimen_check(before >= 3);
    while (ticks < before + 5) sched_yield();
    return specimen_pass();
}
