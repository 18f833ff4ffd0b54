/* Helpers of the fanotify specimens. */
#ifndef FANOTIFY_H
#define FANOTIFY_H

#include "events.h"

#include <sys/fanotify.h>

static inline int fanotify_new(unsigned flags) {
    int fd = fanotify_init(flags | FAN_NONBLOCK, O_RDONLY | O_CLOEXEC);
    if (fd < 0) specimen_skip("fanotify_init: %s", strerror(errno));
    return fd;
}

static inline void fanotify_add(int fd, unsigned flags, uint64_t mask, const char *path) {
    specimen_equal(fanotify_mark(fd, FAN_MARK_ADD | flags, mask, AT_FDCWD, path), 0);
}

static inline void fanotify_open(const char *path, int flags) {
    int fd = open(path, flags | O_CREAT, 0600);
    specimen_check(fd >= 0);
    if (flags & O_WRONLY) specimen_equal(write(fd, "x", 1), 1);
    close(fd);
}

/* All events that this process has caused and that wait: their masks together. Others go by. */
static inline uint64_t fanotify_own(int fd) {
    uint64_t found = 0;
    _Alignas(struct fanotify_event_metadata) char buffer[8192];
    for (ssize_t size; (size = read(fd, buffer, sizeof buffer)) > 0;) {
        struct fanotify_event_metadata *event = (void *)buffer;
        for (; FAN_EVENT_OK(event, size); event = FAN_EVENT_NEXT(event, size)) {
            if (event->pid == getpid()) found |= event->mask;
            if (event->fd >= 0) {
                specimen_equal(fcntl(event->fd, F_GETFD), FD_CLOEXEC);
                close(event->fd);
            }
        }
    }
    return found;
}

#endif
