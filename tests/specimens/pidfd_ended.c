/* specimen: pidfd of a process that has ended and was waited for | group: objects | needs: nothing */
#include "pidfd.h"

int main(void) {
    pid_t pid = fork();
    if (!pid) _exit(7);
    int fd = pidfd_new(pid, O_NONBLOCK);
    specimen_equal(waitpid(pid, NULL, 0), pid);

    specimen_ready();
    specimen_wait();

    specimen_equal(pidfd_is_over(fd), 1);
    files_fails(pidfd_kill(fd, 0), ESRCH);
    siginfo_t info;
    files_fails(waitid(P_PIDFD, fd, &info, WEXITED | WNOHANG), ECHILD);
    specimen_equal(files_flags(fd), O_RDWR | O_NONBLOCK);
    return specimen_pass();
}
