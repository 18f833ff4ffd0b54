/* specimen: zombies that were killed by SIGKILL, SIGTERM, SIGSEGV and a real-time signal | group: tree | needs: nothing */
#include "task.h"

#include <sys/resource.h>
#include <sys/wait.h>

int main(void) {
    const int signals[] = {SIGKILL, SIGTERM, SIGSEGV, SIGRTMIN + 3};
    enum { COUNT = sizeof signals / sizeof *signals };
    pid_t pids[COUNT];
    for (int i = 0; i < COUNT; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}); /* the core flag would be one bit more in the status */
            kill(getpid(), signals[i]);
            for (;;) pause();
        }
        task_await_state(pids[i], "Z");
    }

    specimen_ready();
    specimen_wait();

    for (int i = 0; i < COUNT; i++) {
        specimen_equal(task_state(pids[i]), 'Z');
        siginfo_t info = {.si_pid = 0};
        specimen_equal(waitid(P_PID, pids[i], &info, WEXITED | WNOHANG | WNOWAIT), 0);
        specimen_equal(info.si_pid, pids[i]);
        specimen_equal(info.si_code, CLD_KILLED);
        specimen_equal(info.si_status, signals[i]);
        int status = -1;
        specimen_equal(waitpid(pids[i], &status, WNOHANG), pids[i]);
        specimen_equal(status, signals[i]);
    }
    specimen_equal(waitpid(-1, NULL, WNOHANG), -1);
    return specimen_pass();
}
