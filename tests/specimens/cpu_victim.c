/* specimen: threads that check their arithmetic, mask and sleeps all the time | group: cpu | needs: nothing */
#include "specimen.h"

#include <pthread.h>
#include <stdint.h>
#include <time.h>

enum { COUNT = 4 };
static volatile int end;
static volatile uint64_t turns[COUNT];
static __thread uint64_t own;

/* Each step twice, by two ways that give the same bits unless a register was lost in between. */
static void step(double *x, uint64_t *h, int number) {
    double once = *x * 1.0000001 + number, again = *x * 1.0000001 + number;
    uint64_t hash = *h * 6364136223846793005ull + 1442695040888963407ull;
    if (once != again || hash - *h * 6364136223846793005ull != 1442695040888963407ull || own != (uint64_t)number)
        specimen_fail("thread %d lost something", number);
    *x = once > 1e6 ? 1.0 : once;
    *h = hash;
}

static void *run(void *argument) {
    int number = (int)(long)argument;
    sigset_t blocked, now;
    own = number;
    sigfillset(&blocked);
    if (number == 0) pthread_sigmask(SIG_SETMASK, &blocked, NULL);
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    double x = 1.0;
    uint64_t h = number;
    while (!end) {
        for (int i = 0; i < 20000; i++) step(&x, &h, number);
        pthread_sigmask(SIG_SETMASK, NULL, &now);
        for (int signal = 1; signal < 65; signal++)
            if (sigismember(&now, signal) != sigismember(&blocked, signal))
                specimen_fail("thread %d has another mask: signal %d", number, signal);
        if (number > 1) {
            struct timespec start, stop, pause = {0, number * 1000000};
            clock_gettime(CLOCK_MONOTONIC, &start);
            if (nanosleep(&pause, NULL)) specimen_fail("thread %d: nanosleep ended early", number);
            clock_gettime(CLOCK_MONOTONIC, &stop);
            if ((stop.tv_sec - start.tv_sec) * 1000000000L + stop.tv_nsec - start.tv_nsec < pause.tv_nsec)
                specimen_fail("thread %d slept too short", number);
        }
        turns[number]++;
    }
    return NULL;
}

int main(void) {
    pthread_t threads[COUNT];
    sigset_t term, before;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &term, &before); /* SIGTERM is for the main thread */
    for (long i = 0; i < COUNT; i++) specimen_equal(pthread_create(&threads[i], NULL, run, (void *)i), 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    for (int i = 0; i < COUNT; i++)
        while (!turns[i]) sched_yield();

    specimen_ready();
    specimen_wait();

    uint64_t seen[COUNT];
    for (int i = 0; i < COUNT; i++) seen[i] = turns[i];
    for (int i = 0; i < COUNT; i++)
        while (turns[i] == seen[i]) sched_yield(); /* everybody goes on */
    end = 1;
    for (int i = 0; i < COUNT; i++) specimen_equal(pthread_join(threads[i], NULL), 0);
    return specimen_pass();
}
