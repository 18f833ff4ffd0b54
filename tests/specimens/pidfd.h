/* Helpers of the pidfd specimens. */
#ifndef PIDFD_H
#define PIDFD_H

#include "files.h"
#include "peer.h"

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif

static inline int pidfd_new(pid_t pid, unsigned flags) {
    int fd = (int)syscall(SYS_pidfd_open, pid, flags);
    if (fd < 0 && errno == EINVAL) specimen_skip("no pidfds of threads (PIDFD_THREAD)");
    specimen_check(fd >= 0);
    return fd;
}
static inline int pidfd_kill(int fd, int number) { return (int)syscall(SYS_pidfd_send_signal, fd, number, NULL, 0); }
static inline int pidfd_is_over(int fd) {
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    specimen_check(poll(&entry, 1, 0) >= 0);
    return !!(entry.revents & POLLIN);
}
static inline void pidfd_await(int fd) {
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    int found;
    do found = poll(&entry, 1, 20000);
    while (found < 0 && errno == EINTR);
    specimen_equal(found, 1);
}
static inline void pidfd_sleeper(struct peer *me) { peer_turn(me); }

#endif
