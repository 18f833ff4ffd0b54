/* Waits for a number of seconds in every way that the kernel forgets when the wait is interrupted, each in a thread of
 * its own; says "ready" and, of each, "NAME" when it has ended as it should, "NAME bad" else. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static struct timespec span, left[2];
static int nothing, seconds;

static long by_poll(void) { return syscall(SYS_poll, NULL, 0, seconds * 1000); }
static long by_epoll_wait(void) { return syscall(SYS_epoll_wait, nothing, &(struct epoll_event){0}, 1, seconds * 1000); }
static long by_epoll_pwait(void) {
    return syscall(SYS_epoll_pwait, nothing, &(struct epoll_event){0}, 1, seconds * 1000, NULL, 8);
}
static long by_epoll_pwait2(void) {
    return syscall(SYS_epoll_pwait2, nothing, &(struct epoll_event){0}, 1, &span, NULL, 8);
}
static long by_nanosleep(void) { return syscall(SYS_nanosleep, &span, NULL); }
static long by_nanosleep_left(void) { return syscall(SYS_nanosleep, &span, &left[0]); }
static long by_clock_nanosleep(void) { return syscall(SYS_clock_nanosleep, CLOCK_REALTIME, 0, &span, NULL); }
static long by_clock_nanosleep_left(void) {
    return syscall(SYS_clock_nanosleep, CLOCK_BOOTTIME, 0, &span, &left[1]);
}

static const struct way {
    const char *name;
    long (*wait)(void);
} ways[] = {
    {"poll", by_poll},
    {"epoll_wait", by_epoll_wait},
    {"epoll_pwait", by_epoll_pwait},
    {"epoll_pwait2", by_epoll_pwait2},
    {"nanosleep", by_nanosleep},
    {"nanosleep_left", by_nanosleep_left},
    {"clock_nanosleep", by_clock_nanosleep},
    {"clock_nanosleep_left", by_clock_nanosleep_left},
};
enum { COUNT = sizeof ways / sizeof *ways };

static void *await(void *argument) {
    const struct way *way = argument;
    long result = way->wait();
    dprintf(1, result ? "%s bad: %ld, errno %d\n" : "%s\n", way->name, result, errno);
    return NULL;
}

int main(int count, char **words) {
    pthread_t threads[COUNT];
    if (count != 2) return 2;
    span.tv_sec = seconds = atoi(words[1]);
    nothing = epoll_create1(0);
    for (int i = 0; i < COUNT; i++) pthread_create(&threads[i], NULL, await, (void *)&ways[i]);
    dprintf(1, "ready\n");
    for (int i = 0; i < COUNT; i++) pthread_join(threads[i], NULL);
    return 0;
}
