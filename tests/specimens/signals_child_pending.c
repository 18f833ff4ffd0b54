/* specimen: pending SIGCHLD that tells of a child's exit | group: signals | needs: nothing */
#include "signals.h"

int main(void) {
    signals_set_mask(signals_bit(SIGCHLD));
    pid_t child = fork();
    if (child == 0) _exit(201);
    while (!(task_status_hex(getpid(), "ShdPnd") & signals_bit(SIGCHLD))) sched_yield();

    specimen_ready();
    specimen_wait();

    siginfo_t info;
    specimen_equal(signals_take(signals_bit(SIGCHLD), &info), SIGCHLD);
    specimen_equal(info.si_code, CLD_EXITED);
    specimen_equal(info.si_pid, child);
    specimen_equal(info.si_uid, getuid());
    specimen_equal(info.si_status, 201);
    /* One death, one signal: a restart that lets the child die again must not tell of it again. */
    signals_none(signals_bit(SIGCHLD));
    int status = 0;
    specimen_equal(waitpid(child, &status, WNOHANG), child);
    specimen_equal(WEXITSTATUS(status), 201);
    return specimen_pass();
}
