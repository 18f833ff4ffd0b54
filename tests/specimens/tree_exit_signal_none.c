/* specimen: a child that tells its death by no signal, and one that has died so (clone(2), __WCLONE) | group: tree | needs: nothing */
#include "task.h"

#include <sys/wait.h>

static pid_t start(int ends) {
    pid_t pid = (pid_t)syscall(SYS_clone, 0ul, 0, 0, 0, 0);
    specimen_check(pid >= 0);
    if (pid == 0 && ends) _exit(66);
    if (pid == 0) for (;;) pause();
    return pid;
}

static volatile sig_atomic_t told;
static void tell(int number) { (void)number, told++; }

int main(void) {
    pid_t silent = start(0), dead = start(1);
    task_await_state(dead, "Z");
    struct sigaction action = {.sa_handler = tell};
    sigaction(SIGCHLD, &action, NULL);

    specimen_ready();
    specimen_wait();

    specimen_equal(told, 0);
    specimen_equal(task_stat_number(silent, 38), 0);
    specimen_equal(task_stat_number(dead, 38), 0);
    specimen_equal(wait(NULL), -1);
    specimen_equal(errno, ECHILD);
    int status = 0;
    specimen_equal(waitpid(dead, &status, __WCLONE | WNOHANG), dead);
    specimen_equal(WEXITSTATUS(status), 66);
    specimen_equal(waitpid(silent, NULL, __WCLONE | WNOHANG), 0);
    kill(silent, SIGKILL);
    specimen_equal(waitpid(silent, &status, __WALL), silent);
    specimen_equal(status, SIGKILL);
    specimen_equal(told, 0);
    return specimen_pass();
}
