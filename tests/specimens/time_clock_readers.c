/* specimen: threads that read all clocks by the vDSO, compared with the system calls, all the time | group: time | needs: nothing */
#include "specimen.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

static volatile int end;
static volatile long turns[2];

static long long ns(const struct timespec *t) { return t->tv_sec * 1000000000LL + t->tv_nsec; }

static void *run(void *argument) {
    static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_MONOTONIC_COARSE};
    long number = (long)argument;
    while (!end) {
        for (unsigned i = 0; i < sizeof clocks / sizeof *clocks; i++) {
            struct timespec before, between, after;
            specimen_equal(syscall(SYS_clock_gettime, clocks[i], &before), 0);
            specimen_equal(clock_gettime(clocks[i], &between), 0);
            specimen_equal(syscall(SYS_clock_gettime, clocks[i], &after), 0);
            specimen_check(ns(&before) <= ns(&between) && ns(&between) <= ns(&after));
        }
        unsigned cpu = 0, node = 0;
        specimen_equal(getcpu(&cpu, &node), 0);
        specimen_check(time(NULL) > 0);
        turns[number]++;
    }
    return NULL;
}

int main(void) {
    pthread_t threads[2];
    for (long i = 0; i < 2; i++) specimen_equal(pthread_create(&threads[i], NULL, run, (void *)i), 0);
    for (int i = 0; i < 2; i++)
        while (!turns[i]) sched_yield();

    specimen_ready();
    specimen_wait();

    long seen[2] = {turns[0], turns[1]};
    for (int i = 0; i < 2; i++)
        while (turns[i] == seen[i]) sched_yield();
    end = 1;
    for (int i = 0; i < 2; i++) specimen_equal(pthread_join(threads[i], NULL), 0);
    return specimen_pass();
}
