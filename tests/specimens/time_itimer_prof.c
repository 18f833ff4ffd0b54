/* specimen: ITIMER_PROF: remaining CPU time and interval; it goes off when that is spent | group: time | needs: nothing */
#include "timers.h"

static volatile sig_atomic_t told;
static void tell(int number) { (void)number, told++; }

static double left(void) {
    struct itimerval found;
    specimen_equal(getitimer(ITIMER_PROF, &found), 0);
    specimen_equal(found.it_interval.tv_sec, 900);
    return (double)found.it_value.tv_sec + (double)found.it_value.tv_usec / 1e6;
}

int main(void) {
    struct sigaction action = {.sa_handler = tell};
    sigaction(SIGPROF, &action, NULL);
    struct itimerval wanted = {{900, 0}, {0, 300000}};
    specimen_equal(setitimer(ITIMER_PROF, &wanted, NULL), 0);
    timers_burn(0.15);
    double before = left();

    specimen_ready();
    specimen_wait();

    specimen_equal(told, 0);
    specimen_check(left() <= before && left() > 0);
    for (int i = 0; i < 100 && !told; i++) timers_burn(0.02);
    specimen_equal(told, 1);
    specimen_check(left() > 800);
    return specimen_pass();
}
