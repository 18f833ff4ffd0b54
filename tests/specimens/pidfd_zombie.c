/* specimen: pidfd of a child that has ended and was not waited for | group: objects | needs: nothing */
#include "pidfd.h"

int main(void) {
    pid_t pid = fork();
    if (!pid) _exit(7);
    int fd = pidfd_new(pid, 0);
    pidfd_await(fd);

    specimen_ready();
    specimen_wait();

    specimen_equal(pidfd_is_over(fd), 1);
    siginfo_t info;
    specimen_equal(waitid(P_PIDFD, fd, &info, WEXITED), 0);
    specimen_equal(info.si_status, 7);
    specimen_equal(info.si_pid, pid);
    return specimen_pass();
}
