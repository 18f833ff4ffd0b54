/* specimen: pidfd of the process itself, without waiting, at two numbers | group: objects | needs: nothing */
#include "pidfd.h"

int main(void) {
    int fd = pidfd_new(getpid(), O_NONBLOCK), other = fcntl(fd, F_DUPFD, 70);
    signal(SIGUSR1, SIG_IGN);

    specimen_ready();
    specimen_wait();

    specimen_equal(files_flags(other), O_RDWR | O_NONBLOCK);
    specimen_equal(pidfd_kill(other, SIGUSR1), 0);
    specimen_equal(pidfd_is_over(fd), 0);
    fcntl(fd, F_SETFL, 0);
    specimen_equal(files_flags(other), O_RDWR);
    return specimen_pass();
}
