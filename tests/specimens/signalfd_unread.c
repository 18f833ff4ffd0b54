/* specimen: signalfd with signals that nobody has read | group: events | needs: nothing */
#include "events.h"

int main(void) {
    int fd = events_signalfd(SIGUSR1, SIGRTMIN + 1, SFD_CLOEXEC);
    kill(getpid(), SIGUSR1);
    for (int i = 0; i < 3; i++) sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = 40 + i});

    specimen_ready();
    specimen_wait();

    specimen_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    specimen_equal(files_poll(fd), POLLIN);
    events_expect_signal(fd, SIGUSR1);
    for (int i = 0; i < 3; i++) {
        struct signalfd_siginfo info;
        specimen_equal(read(fd, &info, sizeof info), sizeof info);
        specimen_equal(info.ssi_signo, SIGRTMIN + 1);
        specimen_equal(info.ssi_int, 40 + i);
    }
    specimen_equal(files_poll(fd), 0);
    return specimen_pass();
}
