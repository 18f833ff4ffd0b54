/* specimen: pipe that announces data by a signal: F_SETOWN, F_SETSIG, O_ASYNC | group: files | needs: nothing */
#include "files.h"

int main(void) {
    int ends[2], number = SIGRTMIN + 3;
    specimen_equal(pipe(ends), 0);
    sigset_t only;
    sigemptyset(&only);
    sigaddset(&only, number);
    sigprocmask(SIG_BLOCK, &only, NULL);
    specimen_equal(fcntl(ends[0], F_SETOWN, getpid()), 0);
    specimen_equal(fcntl(ends[0], F_SETSIG, number), 0);
    specimen_equal(fcntl(ends[0], F_SETFL, O_ASYNC | O_NONBLOCK), 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(fcntl(ends[0], F_GETOWN), getpid());
    specimen_equal(fcntl(ends[0], F_GETSIG), number);
    specimen_equal(files_flags(ends[0]), O_RDONLY | O_ASYNC | O_NONBLOCK);
    siginfo_t info;
    struct timespec limit = {.tv_sec = 20}, at_once = {0};
    files_fails(sigtimedwait(&only, &info, &at_once), EAGAIN);
    specimen_equal(write(ends[1], "x", 1), 1);
    specimen_equal(sigtimedwait(&only, &info, &limit), number);
    specimen_equal(info.si_fd, ends[0]);
    return specimen_pass();
}
