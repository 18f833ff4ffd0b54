/* Helpers of the capabilities specimens: capset(2) of the calling thread, and the five sets as status shows them. */
#ifndef CAPABILITIES_H
#define CAPABILITIES_H

#include "task.h"

#include <linux/capability.h>
#include <linux/securebits.h>
#include <stdint.h>
#include <sys/prctl.h>

#define CAPABILITY(number) ((uint64_t)1 << (number))

struct capabilities {
    uint64_t inheritable, permitted, effective, bounding, ambient;
};

static inline struct capabilities capabilities_get(void) {
    pid_t tid = task_self();
    struct capabilities found = {task_status_hex(tid, "CapInh"), task_status_hex(tid, "CapPrm"), task_status_hex(tid, "CapEff"),
                                 task_status_hex(tid, "CapBnd"), task_status_hex(tid, "CapAmb")};
    return found;
}

static inline void capabilities_expect(const struct capabilities *wanted) {
    struct capabilities found = capabilities_get();
    specimen_equal(found.inheritable, wanted->inheritable);
    specimen_equal(found.permitted, wanted->permitted);
    specimen_equal(found.effective, wanted->effective);
    specimen_equal(found.bounding, wanted->bounding);
    specimen_equal(found.ambient, wanted->ambient);
}

/* The bounding set can only lose, so it goes first; the ambient set needs the permitted and the inheritable one. */
static inline void capabilities_set(const struct capabilities *wanted) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    uint64_t now = capabilities_get().bounding;
    for (int number = 0; number < 64; number++)
        if (now & ~wanted->bounding & CAPABILITY(number)) specimen_equal(prctl(PR_CAPBSET_DROP, number, 0, 0, 0), 0);
    for (int half = 0; half < 2; half++) {
        data[half].effective = (uint32_t)(wanted->effective >> 32 * half);
        data[half].permitted = (uint32_t)(wanted->permitted >> 32 * half);
        data[half].inheritable = (uint32_t)(wanted->inheritable >> 32 * half);
    }
    specimen_equal(syscall(SYS_capset, &header, data), 0);
    for (int number = 0; number < 64; number++)
        if (wanted->ambient & CAPABILITY(number))
            specimen_equal(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0), 0);
}

#endif
