/* Helpers of the events specimens: signalfd, timerfd, epoll, inotify. */
#ifndef EVENTS_H
#define EVENTS_H

#include "files.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>

#ifndef TFD_IOC_SET_TICKS
#define TFD_IOC_SET_TICKS _IOW('T', 0, uint64_t)
#endif

static inline sigset_t events_set(int first, int second) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, first);
    if (second) sigaddset(&set, second);
    return set;
}

/* A signalfd for two signals (0: none), which are blocked. */
static inline int events_signalfd(int first, int second, int flags) {
    sigset_t set = events_set(first, second);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    int fd = signalfd(-1, &set, flags);
    specimen_check(fd >= 0);
    return fd;
}

static inline void events_expect_signal(int fd, int number) {
    struct signalfd_siginfo info;
    specimen_equal(read(fd, &info, sizeof info), sizeof info);
    specimen_equal(info.ssi_signo, number);
}

static inline int events_timer(clockid_t clock, int flags) {
    int fd = timerfd_create(clock, flags);
    if (fd < 0 && (errno == EPERM || errno == EINVAL)) specimen_skip("no timer on clock %d here: %s", clock, strerror(errno));
    specimen_check(fd >= 0);
    return fd;
}

static inline struct timespec events_span(double seconds) {
    struct timespec span = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    return span;
}
static inline double events_seconds(struct timespec span) { return (double)span.tv_sec + (double)span.tv_nsec / 1e9; }
static inline double events_now(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return events_seconds(now);
}

static inline void events_arm(int fd, int flags, double value, double interval) {
    struct itimerspec spec = {events_span(interval), events_span(value)};
    specimen_equal(timerfd_settime(fd, flags, &spec, NULL), 0);
}
static inline double events_left(int fd) {
    struct itimerspec spec;
    specimen_equal(timerfd_gettime(fd, &spec), 0);
    return events_seconds(spec.it_value);
}
static inline double events_interval(int fd) {
    struct itimerspec spec;
    specimen_equal(timerfd_gettime(fd, &spec), 0);
    return events_seconds(spec.it_interval);
}
static inline uint64_t events_ticks(int fd) {
    uint64_t ticks;
    specimen_equal(read(fd, &ticks, sizeof ticks), sizeof ticks);
    return ticks;
}
/* What fdinfo says behind *key*, as a number of *base*. */
static inline unsigned long long events_info(int fd, const char *key, int base) {
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    FILE *file = fopen(path, "r");
    specimen_check(file);
    unsigned long long value = ~0ull;
    while (fgets(line, sizeof line, file))
        if (!strncmp(line, key, strlen(key))) value = strtoull(line + strlen(key), NULL, base);
    fclose(file);
    return value;
}

static inline void events_add(int epoll, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data.u64 = data};
    specimen_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
}
static inline void events_modify(int epoll, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data.u64 = data};
    specimen_equal(epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event), 0);
}
/* Exactly one event, of the entry with *data*, in at most *milliseconds*. */
static inline void events_expect(int epoll, uint32_t events, uint64_t data, int milliseconds) {
    struct epoll_event found[8];
    int count;
    do count = epoll_wait(epoll, found, 8, milliseconds);
    while (count < 0 && errno == EINTR);
    specimen_equal(count, 1);
    specimen_equal(found[0].events, events);
    specimen_equal(found[0].data.u64, data);
}
static inline void events_expect_none(int epoll) {
    struct epoll_event found[8];
    specimen_equal(epoll_wait(epoll, found, 8, 0), 0);
}

#endif
