/* Programs: a child of a specimen that executes a copy of the specimen's own program, under another name. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include "peer.h"
#include "task.h"

#include <sys/stat.h>

/* Copy this program's file to *name*. */
static inline void program_copy(const char *name) {
    char bytes[65536];
    int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), to = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
    specimen_check(from >= 0 && to >= 0);
    for (ssize_t got; (got = read(from, bytes, sizeof bytes)) > 0;) specimen_equal(write(to, bytes, got), got);
    close(from), close(to);
}

static inline const char *program_link(pid_t pid) {
    static char text[4096];
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
    ssize_t length = readlink(path, text, sizeof text - 1);
    specimen_check(length > 0);
    text[length] = 0;
    return text;
}

/* A child that executes *name* with the argument "child"; returns when it has arrived in that program and sleeps
 * in read(2) on a pipe. It ends with the byte that it reads as its status. */
static inline pid_t program_start(const char *name, int *tell) {
    int pipe_[2];
    specimen_equal(pipe(pipe_), 0);
    pid_t pid = fork();
    specimen_check(pid >= 0);
    if (pid == 0) {
        dup2(pipe_[0], 0);
        close(pipe_[0]), close(pipe_[1]);
        execl(name, name, "child", (char *)NULL);
        _exit(126);
    }
    close(pipe_[0]);
    *tell = pipe_[1];
    /* The name (comm) changes in execve(2), and the child does not read before. */
    const char *base = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
    while (strcmp(task_status(pid, "Name"), base) != 0) specimen_check(waitpid(pid, NULL, WNOHANG) == 0);
    task_await_call(pid, SYS_read);
    return pid;
}

/* To be called first in main: does not return in the child. */
static inline void program_main(int argc, char **argv) {
    if (argc != 2 || strcmp(argv[1], "child") != 0) return;
    unsigned char status = 0;
    specimen_equal(read(0, &status, 1), 1);
    _exit(status);
}

static inline void program_end(pid_t pid, int tell) {
    int status = -1;
    specimen_equal(write(tell, "\x2a", 1), 1);
    specimen_equal(waitpid(pid, &status, 0), pid);
    specimen_equal(status, 42 << 8);
}

#endif
