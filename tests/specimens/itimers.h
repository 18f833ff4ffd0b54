/* Interval timers (setitimer(2)) of CPU time; a specimen of each returns what main returns. */
#ifndef ITIMERS_H
#define ITIMERS_H

#include "timers.h"

static volatile sig_atomic_t itimer_told;
static void itimer_tell(int number) { (void)number, itimer_told++; }

static double itimer_left(int which) {
    struct itimerval found;
    specimen_equal(getitimer(which, &found), 0);
    specimen_equal(found.it_interval.tv_sec, 900);
    return (double)found.it_value.tv_sec + (double)found.it_value.tv_usec / 1e6;
}

/* One that counts CPU time, and tells by signal *number*. */
static int itimer_of_cpu(int which, int number) {
    struct sigaction action = {.sa_handler = itimer_tell};
    sigaction(number, &action, NULL);
    struct itimerval wanted = {{900, 0}, {0, 300000}};
    specimen_equal(setitimer(which, &wanted, NULL), 0);
    timers_burn(0.15);
    double before = itimer_left(which);

    specimen_ready();
    specimen_wait();

    specimen_equal(itimer_told, 0);
    specimen_check(itimer_left(which) <= before && itimer_left(which) > 0);
    for (int i = 0; i < 100 && !itimer_told; i++) timers_burn(0.02);
    specimen_equal(itimer_told, 1);
    specimen_check(itimer_left(which) > 800);
    return specimen_pass();
}

#endif
