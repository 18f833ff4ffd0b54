/* specimen: pidfd of a child | group: objects | needs: nothing */
#include "pidfd.h"

int main(void) {
    struct peer *peer = peer_start(pidfd_sleeper);
    int fd = pidfd_new(peer->pid, 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    specimen_equal(pidfd_is_over(fd), 0);
    specimen_equal(pidfd_kill(fd, 0), 0);
    peer_tell(peer);
    pidfd_await(fd);
    siginfo_t info;
    specimen_equal(waitid(P_PIDFD, fd, &info, WEXITED), 0);
    specimen_equal(info.si_pid, peer->pid);
    files_fails(pidfd_kill(fd, 0), ESRCH);
    return specimen_pass();
}
