/* specimen: a timer ticks on, every 20 ms, without a call to set it again | group: time | needs: nothing */
#include "timers.h"

static volatile sig_atomic_t ticks;
static void tick(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    if (info->si_code == SI_TIMER && info->si_value.sival_int == 55) ticks++;
}

int main(void) {
    struct sigaction action = {.sa_sigaction = tick, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &action, NULL);
    struct sigevent event = timers_event(SIGEV_SIGNAL, SIGUSR1, 55, 0);
    timers_set(timers_create(CLOCK_REALTIME, &event), 0.02, 0.02);
    while (ticks < 3) sched_yield();

    specimen_ready();
    specimen_wait();

    int before = ticks;
    specimen_check(before >= 3);
    while (ticks < before + 5) sched_yield();
    return specimen_pass();
}
