/* Helpers of the signals specimens: the kernel's own view of actions, masks and queues (rt_sigaction(2)). */
#ifndef SIGNALS_H
#define SIGNALS_H

#include "peer.h"
#include "worker.h"

#include <stdint.h>
#include <time.h>

/* struct sigaction as the kernel has it on x86-64 and aarch64; libc's hides the restorer and two signals. */
struct signals_action {
    uint64_t handler, flags, restorer, mask;
};

static inline struct signals_action signals_get(int number) {
    struct signals_action action;
    memset(&action, 0x55, sizeof action);
    specimen_equal(syscall(SYS_rt_sigaction, number, NULL, &action, 8), 0);
    return action;
}
static inline void signals_set(int number, const struct signals_action *action) {
    specimen_equal(syscall(SYS_rt_sigaction, number, action, NULL, 8), 0);
}

/* Bit of a signal in the kernel's mask. */
static inline uint64_t signals_bit(int number) { return (uint64_t)1 << (number - 1); }

static inline uint64_t signals_mask(void) {
    uint64_t mask = 0;
    specimen_equal(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask, 8), 0);
    return mask;
}
static inline void signals_set_mask(uint64_t mask) {
    specimen_equal(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, 8), 0);
}
static inline void signals_block(int number) { signals_set_mask(signals_mask() | signals_bit(number)); }

/* Takes the first pending signal of *mask* off the queue; its number, or -1 if there is none. */
static inline int signals_take(uint64_t mask, siginfo_t *info) {
    struct timespec now = {0, 0};
    memset(info, 0x55, sizeof *info);
    return (int)syscall(SYS_rt_sigtimedwait, &mask, info, &now, 8);
}
static inline void signals_none(uint64_t mask) {
    siginfo_t info;
    specimen_equal(signals_take(mask, &info), -1);
    specimen_equal(errno, EAGAIN);
}

/* Queue *number* with *value*: to a process, or to one thread of this one. */
static inline void signals_queue(pid_t pid, int number, int value) {
    specimen_equal(sigqueue(pid, number, (union sigval){.sival_ptr = (void *)(long)value}), 0);
}
static inline void signals_queue_thread(pid_t tid, int number, int value) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_signo = number, info.si_code = SI_QUEUE, info.si_pid = getpid(), info.si_uid = getuid();
    info.si_value.sival_ptr = (void *)(long)value;
    specimen_equal(syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, number, &info), 0);
}
static inline void signals_expect_queued(int number, int value) {
    siginfo_t info;
    specimen_equal(signals_take(~(uint64_t)0, &info), number);
    specimen_equal(info.si_code, SI_QUEUE);
    specimen_equal(info.si_value.sival_ptr, value);
    specimen_equal(info.si_pid, getpid());
    specimen_equal(info.si_uid, getuid());
}

#endif
