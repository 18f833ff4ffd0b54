/* specimen: what waits for a moment of CLOCK_MONOTONIC or CLOCK_BOOTTIME (clock_nanosleep, a condition variable, a timer) ends then, and not early | group: time | needs: nothing */
#include "sleeper.h"

enum { SECONDS = 3, COUNT = 3 };
static const char *const names[COUNT] = {"clock_nanosleep, monotonic", "clock_nanosleep, boottime", "condition"};
static struct timespec monotonic, boottime; /* the moments */
static double ended[COUNT];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition;

static double seconds(const struct timespec *moment) { return (double)moment->tv_sec + (double)moment->tv_nsec / 1e9; }

static long end(int which, clockid_t clock, long result) {
    ended[which] = sleeper_clock(clock);
    return result;
}
static long by_monotonic(void) {
    return end(0, CLOCK_MONOTONIC, clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &monotonic, NULL));
}
static long by_boottime(void) {
    return end(1, CLOCK_BOOTTIME, clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &boottime, NULL));
}
static long by_condition(void) {
    specimen_equal(pthread_mutex_lock(&mutex), 0);
    long result = pthread_cond_timedwait(&condition, &mutex, &monotonic);
    specimen_equal(pthread_mutex_unlock(&mutex), 0);
    return end(2, CLOCK_MONOTONIC, result);
}

int main(void) {
    static long (*const calls[COUNT])(void) = {by_monotonic, by_boottime, by_condition};
    static const long numbers[COUNT] = {SYS_clock_nanosleep, SYS_clock_nanosleep, SYS_futex};
    static const long results[COUNT] = {0, 0, ETIMEDOUT};
    struct sleeper *sleepers[COUNT];
    pthread_condattr_t attribute;
    specimen_equal(pthread_condattr_init(&attribute), 0);
    specimen_equal(pthread_condattr_setclock(&attribute, CLOCK_MONOTONIC), 0);
    specimen_equal(pthread_cond_init(&condition, &attribute), 0);
    double started[2] = {sleeper_clock(CLOCK_MONOTONIC), sleeper_clock(CLOCK_BOOTTIME)};
    clock_gettime(CLOCK_MONOTONIC, &monotonic);
    clock_gettime(CLOCK_BOOTTIME, &boottime);
    monotonic.tv_sec += SECONDS;
    boottime.tv_sec += SECONDS;
    timer_t timer;
    sigset_t usr1;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &usr1, NULL);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    specimen_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    struct itimerspec setting = {.it_value = monotonic};
    specimen_equal(timer_settime(timer, TIMER_ABSTIME, &setting, NULL), 0);
    for (int i = 0; i < COUNT; i++) sleepers[i] = sleeper_start(calls[i], numbers[i]);

    specimen_ready();
    specimen_wait();

    if (sleeper_clock(CLOCK_MONOTONIC) < started[0] || sleeper_clock(CLOCK_BOOTTIME) < started[1])
        specimen_fail("a clock has gone back");
    specimen_equal(sigtimedwait(&usr1, NULL, &(struct timespec){20, 0}), SIGUSR1);
    if (sleeper_clock(CLOCK_MONOTONIC) < seconds(&monotonic)) specimen_fail("the timer went off early");
    for (int i = 0; i < COUNT; i++) {
        sleeper_returns(sleepers[i], results[i], 0);
        double moment = seconds(i == 1 ? &boottime : &monotonic);
        if (ended[i] < moment) specimen_fail("%s ended %f s early", names[i], moment - ended[i]);
    }
    return specimen_pass();
}
