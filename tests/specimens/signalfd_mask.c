/* specimen: signalfd that reads some signals and leaves others alone | group: events | needs: nothing */
#include "events.h"

int main(void) {
    int fd = events_signalfd(SIGUSR2, SIGRTMAX, SFD_NONBLOCK);
    sigset_t other = events_set(SIGUSR1, 0);
    pthread_sigmask(SIG_BLOCK, &other, NULL);

    specimen_ready();
    specimen_wait();

    struct signalfd_siginfo info;
    kill(getpid(), SIGUSR1);
    files_fails(read(fd, &info, sizeof info), EAGAIN);
    kill(getpid(), SIGRTMAX);
    events_expect_signal(fd, SIGRTMAX);
    specimen_equal(files_flags(fd), O_RDWR | O_NONBLOCK);
    return specimen_pass();
}
