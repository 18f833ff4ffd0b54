/* specimen: a child whose seccomp filter kills it for every call but the four that it needs | group: limits | needs: root */
#include "seccomp.h"

#define ALLOW(number) \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)(number), 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

int main(void) {
    int down[2], up[2], status;
    char byte = 0;
    specimen_check(pipe(down) == 0 && pipe(up) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        static const struct sock_filter body[] = {ALLOW(SYS_read), ALLOW(SYS_write), ALLOW(SYS_exit_group),
                                                  ALLOW(SYS_rt_sigreturn),
                                                  BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)};
        seccomp_install(body, sizeof body / sizeof *body);
        specimen_equal(read(down[0], &byte, 1), 1);
        specimen_equal(write(up[1], &byte, 1), 1);
        specimen_equal(read(down[0], &byte, 1), 1);
        getpgrp();
        _exit(1);
    }
    task_await_call(pid, SYS_read);

    specimen_ready();
    specimen_wait();

    specimen_equal(task_status_number(pid, "Seccomp_filters"), 1);
    specimen_equal(task_status_number(pid, "NoNewPrivs"), 1);
    specimen_equal(write(down[1], "x", 1), 1);
    specimen_equal(read(up[0], &byte, 1), 1);
    specimen_equal(byte, 'x');
    specimen_equal(write(down[1], "y", 1), 1);
    specimen_equal(waitpid(pid, &status, 0), pid);
    specimen_equal(status & 0x7f, SIGSYS);
    return specimen_pass();
}
