/* Helpers of the seccomp specimens: small filters (seccomp(2), linux/seccomp.h). */
#ifndef SECCOMP_H
#define SECCOMP_H

#include "task.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* Install *count* instructions behind one that loads the number of the system call; the caller may change nothing
 * about its privileges any more. */
static inline void seccomp_install(const struct sock_filter *body, unsigned count) {
    struct sock_filter filter[64] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
    memcpy(filter + 1, body, count * sizeof *body);
    struct sock_fprog program = {(unsigned short)(count + 1), filter};
    specimen_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    specimen_equal(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), 0);
}

/* From now on *number* does *action*, everything else is allowed. */
static inline void seccomp_refuse(long number, unsigned action) {
    const struct sock_filter body[] = {
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    seccomp_install(body, 3);
}

static inline void seccomp_expect_errno(long number, int wanted) {
    errno = 0;
    specimen_equal(syscall(number, 0, 0, 0), -1);
    specimen_equal(errno, wanted);
}

/* A child of the caller that makes the call must die of *wanted*. */
static inline void seccomp_expect_death(long number, int wanted) {
    pid_t pid = fork();
    if (pid == 0) {
        syscall(number, 0, 0, 0);
        _exit(0);
    }
    int status = 0;
    specimen_equal(waitpid(pid, &status, 0), pid);
    specimen_equal(status & 0x7f, wanted);
}

#endif
