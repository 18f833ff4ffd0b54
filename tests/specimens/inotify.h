/* Helpers of the inotify specimens. */
#ifndef INOTIFY_H
#define INOTIFY_H

#include "events.h"

#include <sys/inotify.h>

static inline int inotify_new(int flags) {
    int fd = inotify_init1(flags | IN_NONBLOCK);
    specimen_check(fd >= 0);
    return fd;
}
static inline int inotify_watch(int fd, const char *path, uint32_t mask) {
    int number = inotify_add_watch(fd, path, mask);
    specimen_check(number > 0);
    return number;
}

/* The next event is of watch *number*, and of *mask*; *name* as in a folder, or "". */
static inline void inotify_expect(int fd, int number, uint32_t mask, const char *name) {
    char buffer[sizeof(struct inotify_event) + 256];
    struct inotify_event *event = (struct inotify_event *)buffer;
    static char kept[8192];
    static int size, at;
    if (at == size) size = (int)read(fd, kept, sizeof kept), at = 0;
    specimen_check(size > 0);
    memcpy(buffer, kept + at, sizeof(struct inotify_event));
    memcpy(buffer, kept + at, sizeof(struct inotify_event) + event->len);
    at += (int)(sizeof(struct inotify_event) + event->len);
    specimen_equal(event->wd, number);
    specimen_equal(event->mask, mask);
    specimen_equal_text(event->len ? event->name : "", name);
}
static inline void inotify_expect_none(int fd) {
    char byte[512];
    files_fails(read(fd, byte, sizeof byte), EAGAIN);
}
static inline void inotify_touch(const char *name) { close(open(name, O_WRONLY | O_CREAT, 0600)); }

#endif
