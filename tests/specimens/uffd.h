/* Helpers of the userfaultfd specimens: making one, and hearing of events. */
#ifndef UFFD_H
#define UFFD_H

#include "files.h"

#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>

#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif

static inline int uffd_make(int flags, uint64_t features) {
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | flags);
    if (fd < 0) specimen_skip("no userfaultfd: %s", strerror(errno));
    struct uffdio_api api = {.api = UFFD_API, .features = features};
    if (ioctl(fd, UFFDIO_API, &api) < 0) specimen_skip("a feature of userfaultfd is missing (UFFDIO_API): %s", strerror(errno));
    return fd;
}

/* Whether *fd* has the right to *size* bytes at *start*: who has it may register them once more, others are EBUSY. */
static inline int uffd_register(int fd, void *start, size_t size, uint64_t mode) {
    struct uffdio_register registered = {.range = {(uintptr_t)start, size}, .mode = mode};
    return ioctl(fd, UFFDIO_REGISTER, &registered);
}

static inline int uffd_protect(int fd, void *start, size_t size, int on) {
    struct uffdio_writeprotect protect = {
        .range = {(uintptr_t)start, size}, .mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0};
    return ioctl(fd, UFFDIO_WRITEPROTECT, &protect);
}

static inline int uffd_copy(int fd, void *to, void *from, size_t size) {
    struct uffdio_copy copy = {.dst = (uintptr_t)to, .src = (uintptr_t)from, .len = size};
    return ioctl(fd, UFFDIO_COPY, &copy);
}

static inline int uffd_zero(int fd, void *start, size_t size) {
    struct uffdio_zeropage zero = {.range = {(uintptr_t)start, size}};
    return ioctl(fd, UFFDIO_ZEROPAGE, &zero);
}

/* The next event, within ten seconds: a fault at *page*, by a write or not, of a protected page or not. */
static inline struct uffd_msg uffd_next(int fd) {
    struct uffd_msg message;
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    specimen_equal(poll(&entry, 1, 10000), 1);
    specimen_equal(read(fd, &message, sizeof message), sizeof message);
    return message;
}

static inline void uffd_expect(int fd, void *page, uint64_t flags) {
    struct uffd_msg message = uffd_next(fd);
    specimen_equal(message.event, UFFD_EVENT_PAGEFAULT);
    specimen_equal(message.arg.pagefault.address & -PAGE, (uintptr_t)page);
    specimen_equal(message.arg.pagefault.flags, flags);
}

static inline void uffd_expect_nothing(int fd) {
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    specimen_equal(poll(&entry, 1, 0), 0);
}

/* A thread that reads or writes a byte, and what it has read. */
struct uffd_access {
    volatile unsigned char *at;
    int write;
    pthread_t thread;
};

static inline void *uffd_access_(void *argument) {
    struct uffd_access *access = argument;
    if (access->write) *access->at = 'w';
    return (void *)(uintptr_t)*access->at;
}

static inline void uffd_begin(struct uffd_access *access, void *at, int write) {
    access->at = at, access->write = write;
    specimen_equal(pthread_create(&access->thread, NULL, uffd_access_, access), 0);
}

static inline int uffd_end(struct uffd_access *access) {
    void *found;
    specimen_equal(pthread_join(access->thread, &found), 0);
    return (int)(uintptr_t)found;
}

#endif
