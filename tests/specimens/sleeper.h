/* Sleepers: a thread that blocks in one system call while the specimen is checkpointed.
 *
 *     static long sleep_there(void) { return poll(…); }
 *     struct sleeper *sleeper = sleeper_start(sleep_there, SYS_poll);  returns when the thread sleeps in the call
 *     specimen_ready(); specimen_wait();
 *     sleeper_still(sleeper);        fails if the call returned; waits until the thread sleeps in it again
 *     …make the call return, or sleeper_interrupt(sleeper)…
 *     sleeper_returns(sleeper, result, errno);
 *
 * A freeze wakes every sleeper. No program may see that: no EINTR without a signal handler that ran, no
 * sleep that ends early (signal(7), "Interruption of system calls").
 */
#ifndef SLEEPER_H
#define SLEEPER_H

#include "task.h"

#include <pthread.h>
#include <time.h>

struct sleeper {
    pthread_t thread;
    volatile pid_t tid;
    long (*call)(void); /* -1 and errno, or the result */
    long number;        /* of the system call, SYS_… */
    long result;
    int error;
    volatile int returned;
};

static inline void sleeper_handler_(int number) { (void)number; }

static inline void *sleeper_main_(void *argument) {
    struct sleeper *me = argument;
    sigset_t mask;
    sigfillset(&mask);
    sigdelset(&mask, SIGUSR2);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    errno = 0;
    me->tid = task_self();
    me->result = me->call();
    me->error = errno;
    me->returned = 1;
    return NULL;
}

/* The call must go on; the thread may be on its way back into it. */
static inline void sleeper_still(struct sleeper *sleeper) {
    for (;;) {
        if (sleeper->returned)
            specimen_fail("call %ld returned %ld, errno %d (%s)", sleeper->number, sleeper->result, sleeper->error,
                          strerror(sleeper->error));
        if (sleeper->tid && task_sleeps_in(sleeper->tid, sleeper->number)) return;
        sched_yield();
    }
}

static inline struct sleeper *sleeper_start(long (*call)(void), long number) {
    struct sigaction action = {.sa_handler = sleeper_handler_};
    sigaction(SIGUSR2, &action, NULL);
    struct sleeper *sleeper = calloc(1, sizeof *sleeper);
    specimen_check(sleeper);
    sleeper->call = call;
    sleeper->number = number;
    specimen_equal(pthread_create(&sleeper->thread, NULL, sleeper_main_, sleeper), 0);
    sleeper_still(sleeper);
    return sleeper;
}

/* SIGUSR2, to a handler without SA_RESTART: the call must end with EINTR. */
static inline void sleeper_interrupt(struct sleeper *sleeper) {
    specimen_equal(pthread_kill(sleeper->thread, SIGUSR2), 0);
}

static inline void sleeper_returns(struct sleeper *sleeper, long result, int error) {
    specimen_equal(pthread_join(sleeper->thread, NULL), 0);
    specimen_equal(sleeper->result, result);
    if (result < 0) specimen_equal(sleeper->error, error);
}

/* Seconds of *clock*. */
static inline double sleeper_clock(clockid_t clock) {
    struct timespec now;
    specimen_equal(clock_gettime(clock, &now), 0);
    return now.tv_sec + now.tv_nsec / 1e9;
}

#endif
