/* Helpers of the scheduling specimens: sched_setattr(2) of single threads. */
#ifndef SCHEDULING_H
#define SCHEDULING_H

#include "worker.h"

#include <stdint.h>

#ifndef SCHED_RESET_ON_FORK
#define SCHED_RESET_ON_FORK 0x40000000
#endif
enum { SCHEDULING_DEADLINE = 6, SCHEDULING_FLAG_RESET_ON_FORK = 1 };

/* struct sched_attr of linux/sched/types.h, version 0, whose header does not go with libc's. */
struct scheduling {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period; /* ns */
};

static inline int scheduling_set(struct scheduling attributes) {
    attributes.size = sizeof attributes;
    return (int)syscall(SYS_sched_setattr, 0, &attributes, 0);
}

static inline struct scheduling scheduling_get(void) {
    struct scheduling attributes;
    memset(&attributes, 0, sizeof attributes);
    specimen_equal(syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0), 0);
    return attributes;
}

static inline void scheduling_expect(const struct scheduling *wanted) {
    struct scheduling found = scheduling_get();
    specimen_equal(found.policy, wanted->policy);
    specimen_equal(found.flags, wanted->flags);
    specimen_equal(found.nice, wanted->nice);
    specimen_equal(found.priority, wanted->priority);
    if (wanted->runtime) specimen_equal(found.runtime, wanted->runtime);
    specimen_equal(found.deadline, wanted->deadline);
    specimen_equal(found.period, wanted->period);
}

/* Runs as a worker: takes up what its data says (or skips the specimen), and checks it. */
static inline void scheduling_run(struct worker *me) {
    const struct scheduling *wanted = me->data;
    if (scheduling_set(*wanted) != 0) specimen_skip("sched_setattr, policy %u: %s", wanted->policy, strerror(errno));
    scheduling_expect(wanted);
    worker_turn(me);
    scheduling_expect(wanted);
}

/* Body of a specimen: one thread for each of *wanted*, beside a main thread with usual scheduling. */
static inline int scheduling_specimen(const struct scheduling *wanted, int count) {
    struct worker *workers[16];
    struct scheduling before = scheduling_get();
    for (int i = 0; i < count; i++) workers[i] = worker_start(scheduling_run, (void *)&wanted[i]);

    specimen_ready();
    specimen_wait();

    before.runtime = 0;
    scheduling_expect(&before);
    for (int i = 0; i < count; i++) worker_end(workers[i]);
    return specimen_pass();
}

#endif
