/* Threads that check their arithmetic, mask and sleeps all the time. */
#pragma once
#include "specimen.h"

#include <pthread.h>
#include <stdint.h>
#include <time.h>

static __thread uint64_t victim_own;
static __thread sigset_t victim_blocked;

/* Each step twice, by two ways that give the same bits unless a register was lost in between. */
static void victim_step(double *x, uint64_t *h, int number) {
    double once = *x * 1.0000001 + number, again = *x * 1.0000001 + number;
    uint64_t hash = *h * 6364136223846793005ull + 1442695040888963407ull;
    if (once != again || hash - *h * 6364136223846793005ull != 1442695040888963407ull || victim_own != (uint64_t)number)
        specimen_fail("thread %d lost something", number);
    *x = once > 1e6 ? 1.0 : once;
    *h = hash;
}

/* At the beginning of a thread: thread 0 blocks everything. */
static void victim_begin(int number) {
    sigset_t all;
    victim_own = number;
    sigfillset(&all);
    if (number == 0) pthread_sigmask(SIG_SETMASK, &all, NULL);
    pthread_sigmask(SIG_SETMASK, NULL, &victim_blocked);
}

/* One turn: *steps* steps, a look at the mask, and a sleep of *milliseconds* if there are any. */
static void victim_turn(double *x, uint64_t *h, int number, int steps, int milliseconds) {
    sigset_t now;
    for (int i = 0; i < steps; i++) victim_step(x, h, number);
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    for (int signal = 1; signal < 65; signal++)
        if (sigismember(&now, signal) != sigismember(&victim_blocked, signal))
            specimen_fail("thread %d has another mask: signal %d", number, signal);
    if (milliseconds == 0) return;
    struct timespec start, stop, pause = {0, milliseconds * 1000000L};
    clock_gettime(CLOCK_MONOTONIC, &start);
    if (nanosleep(&pause, NULL)) specimen_fail("thread %d: nanosleep ended early", number);
    clock_gettime(CLOCK_MONOTONIC, &stop);
    if ((stop.tv_sec - start.tv_sec) * 1000000000L + stop.tv_nsec - start.tv_nsec < pause.tv_nsec)
        specimen_fail("thread %d slept too short", number);
}
