/* Helpers of the time specimens: POSIX timers by their system calls, since libc hides the kernel's numbers. */
#ifndef TIMERS_H
#define TIMERS_H

#include "task.h"

#include <time.h>
#include <sys/time.h>

static inline int timers_create(clockid_t clock, struct sigevent *event) {
    int id = -1;
    if (syscall(SYS_timer_create, clock, event, &id) != 0) specimen_fail("timer_create: %s", strerror(errno));
    return id;
}

/* An event of *notify*: signal *number* with *value*, for SIGEV_THREAD_ID to thread *tid*. */
static inline struct sigevent timers_event(int notify, int number, long value, pid_t tid) {
    struct sigevent event;
    memset(&event, 0, sizeof event);
    event.sigev_notify = notify, event.sigev_signo = number, event.sigev_value.sival_ptr = (void *)value;
    event._sigev_un._tid = tid;
    return event;
}

static inline struct timespec timers_span(double seconds) {
    struct timespec span = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    return span;
}
static inline double timers_seconds(struct timespec span) { return (double)span.tv_sec + (double)span.tv_nsec / 1e9; }

/* Seconds; 0 disarms. */
static inline void timers_set(int id, double value, double interval) {
    struct itimerspec spec = {timers_span(interval), timers_span(value)};
    specimen_equal(syscall(SYS_timer_settime, id, 0, &spec, NULL), 0);
}

static inline struct itimerspec timers_get(int id) {
    struct itimerspec spec;
    memset(&spec, 0x55, sizeof spec);
    if (syscall(SYS_timer_gettime, id, &spec) != 0) specimen_fail("timer %d: %s", id, strerror(errno));
    return spec;
}
static inline double timers_left(int id) { return timers_seconds(timers_get(id).it_value); }

static inline int timers_exists(int id) {
    struct itimerspec spec;
    return syscall(SYS_timer_gettime, id, &spec) == 0;
}
static inline int timers_overrun(int id) { return (int)syscall(SYS_timer_getoverrun, id); }

/* *left* seconds, which were *before* when the specimen was ready: time may go on or stand still while it does not
 * run, but it neither starts again nor jumps (nobody keeps a specimen frozen for ten minutes). */
static inline void timers_expect_left(double left, double before) {
    if (left > before || left < before - 600) specimen_fail("%f s are left, there were %f", left, before);
}

/* Wait for blocked signal *number*, at most ten seconds, and look where it comes from. */
static inline void timers_expect_signal(int number, int id, long value) {
    sigset_t set;
    siginfo_t info;
    sigemptyset(&set);
    sigaddset(&set, number);
    struct timespec limit = {10, 0};
    int found;
    do found = sigtimedwait(&set, &info, &limit);
    while (found < 0 && errno == EINTR);
    specimen_equal(found, number);
    specimen_equal(info.si_code, SI_TIMER);
    specimen_equal(info.si_timerid, id);
    specimen_equal(info.si_value.sival_ptr, value);
}
static inline void timers_expect_no_signal(int number) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    specimen_equal(sigtimedwait(&set, NULL, &(struct timespec){0, 0}), -1);
}

static inline void timers_block(int number) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* What /proc/self/timers says: numbers, signals, values, targets and clocks; "" where the kernel has no such file. */
static inline const char *timers_listed(char *buffer, size_t size) {
    buffer[0] = 0;
    if (access("/proc/self/timers", R_OK) == 0) task_read("/proc/self/timers", buffer, size);
    return buffer;
}

/* Spend *seconds* of CPU time of this thread, most of it in user mode: the clock itself is asked by a system call. */
static inline void timers_burn(double seconds) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    double end = timers_seconds(now) + seconds;
    while (timers_seconds(now) < end) {
        for (volatile int i = 0; i < 100000; i++) {}
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    }
}

#endif
