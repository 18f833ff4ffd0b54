/* specimen: zombies that ended with 0, 1, 127, 200 and 255: all eight bits of the status | group: tree | needs: nothing */
#include "task.h"

#include <sys/wait.h>

static const int statuses[] = {0, 1, 127, 200, 255};
enum { COUNT = sizeof statuses / sizeof *statuses };

int main(void) {
    pid_t pids[COUNT];
    for (int i = 0; i < COUNT; i++) {
        pids[i] = fork();
        if (pids[i] == 0) _exit(statuses[i]);
        task_await_state(pids[i], "Z");
    }

    specimen_ready();
    specimen_wait();

    for (int i = 0; i < COUNT; i++) {
        specimen_equal(task_state(pids[i]), 'Z');
        siginfo_t info = {.si_pid = 0};
        specimen_equal(waitid(P_PID, pids[i], &info, WEXITED | WNOHANG | WNOWAIT), 0);
        specimen_equal(info.si_pid, pids[i]);
        specimen_equal(info.si_code, CLD_EXITED);
        specimen_equal(info.si_status, statuses[i]);
        specimen_equal(info.si_uid, getuid());
        int status = -1;
        specimen_equal(waitpid(pids[i], &status, WNOHANG), pids[i]);
        specimen_equal(status, statuses[i] << 8);
    }
    specimen_equal(waitpid(-1, NULL, WNOHANG), -1);
    specimen_equal(errno, ECHILD);
    return specimen_pass();
}
