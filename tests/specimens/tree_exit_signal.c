/* specimen: a child that tells its death by SIGUSR1 instead of SIGCHLD (clone(2)) | group: tree | needs: nothing */
#include "task.h"

#include <sys/wait.h>

/* What a child made by fork(2) but with another exit signal does until it gets SIGHUP. */
static pid_t start(int exit_signal) {
    pid_t pid = (pid_t)syscall(SYS_clone, (unsigned long)exit_signal, 0, 0, 0, 0);
    specimen_check(pid >= 0);
    if (pid == 0) for (;;) pause();
    return pid;
}

static void check(pid_t pid, int exit_signal) {
    sigset_t both;
    sigemptyset(&both);
    sigaddset(&both, SIGUSR1);
    sigaddset(&both, SIGCHLD);
    specimen_equal(task_stat_number(pid, 38), exit_signal);
    specimen_equal(waitpid(pid, NULL, WNOHANG), -1);
    specimen_equal(errno, ECHILD);
    specimen_equal(waitpid(pid, NULL, WNOHANG | __WCLONE), 0);
    specimen_equal(kill(pid, SIGHUP), 0);
    int status = 0;
    specimen_equal(waitpid(pid, &status, __WCLONE), pid);
    specimen_equal(status, SIGHUP);
    siginfo_t info;
    int found = sigtimedwait(&both, &info, &(struct timespec){0, 0});
    if (exit_signal == 0) {
        specimen_equal(found, -1);
        return;
    }
    specimen_equal(found, exit_signal);
    specimen_equal(info.si_code, CLD_KILLED);
    specimen_equal(info.si_pid, pid);
}

int main(void) {
    sigset_t both;
    sigemptyset(&both);
    sigaddset(&both, SIGUSR1);
    sigaddset(&both, SIGCHLD);
    sigprocmask(SIG_BLOCK, &both, NULL);
    pid_t loud = start(SIGUSR1);

    specimen_ready();
    specimen_wait();

    check(loud, SIGUSR1);
    return specimen_pass();
}
