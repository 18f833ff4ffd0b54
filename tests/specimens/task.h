/* What /proc says about a task (proc_pid_status(5), proc_pid_stat(5)): a process by PID, a thread by TID. */
#ifndef TASK_H
#define TASK_H

#include "specimen.h"

#include <fcntl.h>
#include <sched.h>

/* A whole small file, in *buffer*; its length. The buffer gets a NUL behind it. */
static inline size_t task_read(const char *path, char *buffer, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) specimen_fail("%s: %s", path, strerror(errno));
    size_t length = 0;
    for (ssize_t got; (got = read(fd, buffer + length, size - 1 - length)) > 0; length += got) {}
    close(fd);
    buffer[length] = 0;
    return length;
}

static inline void task_write(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) specimen_fail("%s: %s", path, strerror(errno));
    close(fd);
}

static inline pid_t task_self(void) { return (pid_t)syscall(SYS_gettid); }

/* The value of line *key* of the task's status file, without blanks around it. */
static inline const char *task_status(pid_t tid, const char *key) {
    static __thread char text[8192];
    char path[64], wanted[64];
    snprintf(path, sizeof path, "/proc/%d/status", (int)tid);
    snprintf(wanted, sizeof wanted, "\n%s:\t", key);
    text[0] = '\n';
    task_read(path, text + 1, sizeof text - 1);
    char *found = strstr(text, wanted);
    if (!found) specimen_fail("%s has no line %s", path, key);
    found += strlen(wanted);
    found[strcspn(found, "\n")] = 0;
    return found;
}

static inline unsigned long long task_status_hex(pid_t tid, const char *key) {
    return strtoull(task_status(tid, key), NULL, 16);
}
static inline long long task_status_number(pid_t tid, const char *key) { return atoll(task_status(tid, key)); }

/* Field *number* of the task's stat file, as proc_pid_stat(5) counts; 3 is the state letter. */
static inline const char *task_stat(pid_t tid, int number) {
    static __thread char text[4096];
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)tid);
    task_read(path, text, sizeof text);
    char *field = strrchr(text, ')') + 2;
    for (int i = 3; i < number; i++) field = strchr(field, ' ') + 1;
    field[strcspn(field, " \n")] = 0;
    return field;
}
static inline long long task_stat_number(pid_t tid, int number) { return atoll(task_stat(tid, number)); }
static inline char task_state(pid_t tid) { return *task_stat(tid, 3); }

/* Wait until the task is in one of *states*: a fact, not a guess in milliseconds. */
static inline void task_await_state(pid_t tid, const char *states) {
    while (!strchr(states, task_state(tid))) sched_yield();
}

/* Whether the task sleeps in system call *number*, or in the kernel's continuation of it: a relative sleep that
 * was interrupted goes on as restart_syscall(2). The file says "running" while the task is on a CPU. */
static inline int task_sleeps_in(pid_t tid, long number) {
    char path[64], text[256];
    snprintf(path, sizeof path, "/proc/%d/syscall", (int)tid);
    task_read(path, text, sizeof text);
    if (text[0] < '0' || text[0] > '9') return 0;
    long found = atol(text);
    return found == number || found == SYS_restart_syscall;
}
static inline void task_await_call(pid_t tid, long number) {
    while (!task_sleeps_in(tid, number)) sched_yield();
}

#endif
