/* Helpers of the io_uring specimens: a ring, used as liburing does, with places of the program's own in both queues. */
#ifndef URING_H
#define URING_H

#include "files.h"

#include <linux/io_uring.h>
#include <linux/time_types.h>
#include <sys/mman.h>
#include <sys/utsname.h>

#define URING_NO_SQARRAY (1U << 16)

struct uring {
    int fd;
    struct io_uring_params params;
    char *rings;
    char *entries;
    unsigned submitted, seen; /* by the program's own count */
};

static inline _Atomic unsigned *uring_word(struct uring *ring, unsigned offset) {
    return (_Atomic unsigned *)(ring->rings + offset);
}

/* What can be saved is told by structures of the kernel's, as it is now. */
static inline void uring_require(void) {
    struct utsname kernel;
    uname(&kernel);
    if (strncmp(kernel.release, "6.18.", 5) || access("/sys/kernel/btf/vmlinux", R_OK))
        specimen_skip("Linux %s, rings are saved on 6.18 with BTF", kernel.release);
}

/* A ring of *entries*, with room for *completions* (0: as many as usual). */
static inline struct uring uring_make(unsigned entries, unsigned completions, unsigned flags) {
    struct uring ring;
    uring_require();
    memset(&ring, 0, sizeof ring);
    ring.params.flags = flags | (completions ? IORING_SETUP_CQSIZE : 0);
    ring.params.cq_entries = completions;
    ring.fd = (int)syscall(SYS_io_uring_setup, entries, &ring.params);
    if (ring.fd < 0) specimen_skip("io_uring_setup: %s", strerror(errno));
    size_t first = ring.params.sq_off.array + ring.params.sq_entries * 4;
    size_t second = ring.params.cq_off.cqes + ring.params.cq_entries * (flags & IORING_SETUP_CQE32 ? 32 : 16);
    ring.rings = mmap(NULL, first > second ? first : second, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                      ring.fd, IORING_OFF_SQ_RING);
    specimen_check(ring.rings != MAP_FAILED);
    ring.entries = mmap(NULL, (size_t)ring.params.sq_entries * (flags & IORING_SETUP_SQE128 ? 128 : 64),
                        PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd, IORING_OFF_SQES);
    specimen_check(ring.entries != MAP_FAILED);
    for (unsigned i = 0; !(flags & URING_NO_SQARRAY) && i < ring.params.sq_entries; i++)
        *uring_word(&ring, ring.params.sq_off.array + 4 * i) = i;
    return ring;
}

/* The next request, which does nothing. */
static inline struct io_uring_sqe *uring_next(struct uring *ring, unsigned long long data) {
    size_t size = ring->params.flags & IORING_SETUP_SQE128 ? 128 : 64;
    unsigned place = ring->submitted++ & (ring->params.sq_entries - 1);
    struct io_uring_sqe *entry = (struct io_uring_sqe *)(ring->entries + size * place);
    memset(entry, 0, size);
    entry->fd = -1;
    entry->user_data = data;
    return entry;
}

static inline int uring_enter(struct uring *ring, unsigned submit, unsigned wait) {
    return (int)syscall(SYS_io_uring_enter, ring->fd, submit, wait, wait ? IORING_ENTER_GETEVENTS : 0, NULL, 0);
}

/* Submits all that has been asked for by the program's count, and waits for *wait* completions. */
static inline int uring_submit(struct uring *ring, unsigned wait) {
    unsigned before = *uring_word(ring, ring->params.sq_off.head);
    *uring_word(ring, ring->params.sq_off.tail) = ring->submitted;
    return uring_enter(ring, ring->submitted - before, wait);
}

/* The next completion has *data* and *result*. */
static inline void uring_expect(struct uring *ring, unsigned long long data, int result) {
    specimen_check(*uring_word(ring, ring->params.cq_off.tail) != ring->seen);
    size_t size = ring->params.flags & IORING_SETUP_CQE32 ? 32 : 16;
    struct io_uring_cqe *found = (struct io_uring_cqe *)(ring->rings + ring->params.cq_off.cqes +
                                                         size * (ring->seen & (ring->params.cq_entries - 1)));
    specimen_equal(found->user_data, data);
    specimen_equal(found->res, result);
    *uring_word(ring, ring->params.cq_off.head) = ++ring->seen;
}

static inline void uring_expect_none(struct uring *ring) {
    specimen_equal(*uring_word(ring, ring->params.cq_off.tail), ring->seen);
}

/* *count* empty requests, one after the other. */
static inline void uring_spend(struct uring *ring, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        uring_next(ring, i);
        specimen_equal(uring_submit(ring, 1), 1);
        uring_expect(ring, i, 0);
    }
}

/* A request that writes *text* to the file *fd*. */
static inline void uring_write(struct uring *ring, unsigned long long data, int fd, const char *text) {
    struct io_uring_sqe *entry = uring_next(ring, data);
    entry->opcode = IORING_OP_WRITE;
    entry->fd = fd;
    entry->addr = (unsigned long)text;
    entry->len = (unsigned)strlen(text);
    entry->off = 0;
}
#endif
