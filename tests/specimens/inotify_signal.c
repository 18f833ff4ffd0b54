/* specimen: inotify that announces events by a signal: F_SETOWN, F_SETSIG, O_ASYNC | group: events | needs: root */
#include "inotify.h"

int main(void) {
    int fd = inotify_new(0), number = SIGRTMIN + 4;
    sigset_t only = events_set(number, 0);
    pthread_sigmask(SIG_BLOCK, &only, NULL);
    mkdir("watched", 0700);
    int watch = inotify_watch(fd, "watched", IN_CREATE);
    specimen_equal(fcntl(fd, F_SETOWN, getpid()), 0);
    specimen_equal(fcntl(fd, F_SETSIG, number), 0);
    specimen_equal(fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK), 0);

    specimen_ready();
    specimen_wait();

    siginfo_t info;
    files_fails(sigtimedwait(&only, &info, &(struct timespec){0}), EAGAIN);
    specimen_equal(files_flags(fd), O_ASYNC | O_NONBLOCK);
    inotify_touch("watched/new");
    specimen_equal(sigtimedwait(&only, &info, &(struct timespec){.tv_sec = 20}), number);
    specimen_equal(info.si_fd, fd);
    inotify_expect(fd, watch, IN_CREATE, "new");
    return specimen_pass();
}
