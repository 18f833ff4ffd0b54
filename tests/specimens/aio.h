/* Helpers of the specimens about asynchronous input and output (io_setup(2)). */
#ifndef AIO_H
#define AIO_H

#include "files.h"

#include <linux/aio_abi.h>
#include <sched.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

struct aio_ring { /* fs/aio.c */
    unsigned id, nr, head, tail, magic, compat_features, incompat_features, header_length;
    struct io_event events[];
};

static inline struct aio_ring *aio_ring(aio_context_t context) { return (struct aio_ring *)context; }

static inline aio_context_t aio_setup(unsigned requests) {
    aio_context_t context = 0;
    /* Without it nobody can tell what is in flight. */
    if (access("/sys/kernel/btf/vmlinux", R_OK)) specimen_skip("no type information of the kernel (BTF)");
    if (syscall(SYS_io_setup, requests, &context)) specimen_skip("no io_setup: %s", strerror(errno));
    specimen_equal(aio_ring(context)->magic, 0xa10a10a1);
    return context;
}

/* *count* requests that wait until *fd* can be read, with *data* in each result. */
static inline long aio_poll(aio_context_t context, int fd, long count, uint64_t data) {
    static struct iocb request;
    struct iocb **all = malloc(count * sizeof *all);
    request = (struct iocb){.aio_lio_opcode = IOCB_CMD_POLL, .aio_fildes = fd, .aio_buf = POLLIN, .aio_data = data};
    for (long i = 0; i < count; i++) all[i] = &request;
    long done = syscall(SYS_io_submit, context, count, all);
    free(all);
    return done;
}

/* *count* requests with data from *first* on, that are done at once. */
static inline void aio_done(aio_context_t context, long count, uint64_t first) {
    int fd = eventfd(1, 0);
    for (long i = 0; i < count; i++) specimen_equal(aio_poll(context, fd, 1, first + i), 1);
    close(fd);
}

/* The next *count* results are those of data from *first* on. */
static inline void aio_expect(aio_context_t context, long count, uint64_t first) {
    for (long i = 0; i < count; i++) {
        struct io_event event = {0};
        specimen_equal(syscall(SYS_io_getevents, context, 1, 1, &event, NULL), 1);
        specimen_equal(event.data, first + i);
        specimen_equal(event.res, POLLIN);
    }
}

static inline void aio_expect_none(aio_context_t context) {
    struct io_event event;
    specimen_equal(syscall(SYS_io_getevents, context, 0, 1, &event, &(struct timespec){0}), 0);
}

/* As many requests as there is room for, that wait for *fd*. Each CPU has a share of the room. */
static inline long aio_fill(aio_context_t context, int fd, uint64_t data) {
    cpu_set_t all, one;
    long count = 0;
    specimen_equal(sched_getaffinity(0, sizeof all, &all), 0);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &all)) continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        specimen_equal(sched_setaffinity(0, sizeof one, &one), 0);
        while (aio_poll(context, fd, 1, data) == 1) count++;
        specimen_equal(errno, EAGAIN);
    }
    specimen_equal(sched_setaffinity(0, sizeof all, &all), 0);
    return count;
}

/* How many requests can be in flight at once: they are made, and their results taken. */
static inline long aio_room(aio_context_t context) {
    int fd = eventfd(0, 0);
    long room = aio_fill(context, fd, 0);
    eventfd_write(fd, 1);
    for (long i = 0; i < room; i++) {
        struct io_event event;
        specimen_equal(syscall(SYS_io_getevents, context, 1, 1, &event, NULL), 1);
    }
    aio_expect_none(context);
    close(fd);
    return room;
}

#endif
