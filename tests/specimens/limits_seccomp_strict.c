/* specimen: children in strict seccomp mode: they read and write, and die of anything else | group: limits | needs: nothing */
#include "seccomp.h"

/* Echoes one byte, then ends by exit(2) or by a call that it may not make. No libc once strict. */
static pid_t start(int *tell, int *hear, long last_call) {
    int down[2], up[2];
    specimen_check(pipe(down) == 0 && pipe(up) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        char byte = 0;
        specimen_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0), 0);
        syscall(SYS_read, down[0], &byte, 1);
        syscall(SYS_write, up[1], &byte, 1);
        syscall(last_call, 5);
        syscall(SYS_exit, 6);
    }
    close(down[0]), close(up[1]);
    *tell = down[1], *hear = up[0];
    task_await_call(pid, SYS_read);
    specimen_equal(task_status_number(pid, "Seccomp"), SECCOMP_MODE_STRICT);
    return pid;
}

int main(void) {
    int tell[2], hear[2], status;
    pid_t good = start(&tell[0], &hear[0], SYS_exit), bad = start(&tell[1], &hear[1], SYS_getppid);

    specimen_ready();
    specimen_wait();

    pid_t pids[] = {good, bad};
    for (int i = 0; i < 2; i++) {
        char byte = 0;
        specimen_equal(task_status_number(pids[i], "Seccomp"), SECCOMP_MODE_STRICT);
        specimen_equal(write(tell[i], "e", 1), 1);
        specimen_equal(read(hear[i], &byte, 1), 1);
        specimen_equal(byte, 'e');
    }
    specimen_equal(task_status_number(getpid(), "Seccomp"), SECCOMP_MODE_DISABLED);
    specimen_equal(waitpid(good, &status, 0), good);
    specimen_equal(status, 5 << 8);
    specimen_equal(waitpid(bad, &status, 0), bad);
    specimen_equal(status, SIGKILL);
    return specimen_pass();
}
