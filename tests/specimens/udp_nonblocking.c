/* specimen: UDP socket with O_NONBLOCK and O_ASYNC, that tells its owner | group: sockets | needs: nothing */
#include "sockets.h"

int main(void) {
    int fd = socket_udp(socket_four("127.0.0.1", 0)), sender = socket_udp(socket_four("127.0.0.1", 0));
    sigset_t set;
    sigemptyset(&set), sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    specimen_equal(fcntl(fd, F_SETOWN, getpid()), 0); specimen_equal(fcntl(fd, F_SETSIG, SIGUSR1), 0);
    specimen_equal(fcntl(fd, F_SETFL, O_NONBLOCK | O_ASYNC), 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(files_flags(fd), O_RDWR | O_NONBLOCK | O_ASYNC);
    specimen_equal(sigtimedwait(&set, NULL, &(struct timespec){0, 0}), -1);
    socket_send(sender, "tell", socket_name(fd));
    siginfo_t info;
    specimen_equal(sigtimedwait(&set, &info, &(struct timespec){20, 0}), SIGUSR1);
    specimen_equal(info.si_fd, fd);
    return specimen_pass();
}
