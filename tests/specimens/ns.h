/* Namespaces: peers who are the first of a PID namespace, and who they are in each. */
#ifndef NS_H
#define NS_H

#include "peer.h"
#include "task.h"

#include <sched.h>

/* A peer that is the first process of a new PID namespace. */
static inline struct peer *ns_start(void (*run)(struct peer *), void *data) {
    return peer_start_sharing(run, CLONE_NEWPID, data);
}

/* Skips the specimen where namespaces of these kinds cannot be made. */
static inline void ns_need(int flags) {
    pid_t pid = (pid_t)syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
    if (pid < 0) specimen_skip("new namespaces (%#x) are not permitted here: %s", flags, strerror(errno));
    if (pid == 0) _exit(0);
    int status;
    specimen_equal(waitpid(pid, &status, 0), pid);
}

/* NSpid of the caller, as the /proc that is mounted has it: its numbers, outermost first, with blanks between them. */
static inline void ns_numbers(char *text, size_t size) {
    char own[32] = "";
    specimen_check(readlink("/proc/self", own, sizeof own - 1) > 0);
    snprintf(text, size, "%s", task_status(atoi(own), "NSpid"));
}

/* Which namespace of *kind* the caller is in, as a number that a restart may change: for comparisons between peers. */
static inline unsigned long long ns_inode(const char *kind) {
    char path[64], text[64] = "";
    snprintf(path, sizeof path, "/proc/thread-self/ns/%s", kind);
    specimen_check(readlink(path, text, sizeof text - 1) > 0);
    return strtoull(strchr(text, '[') + 1, NULL, 10);
}

#endif
