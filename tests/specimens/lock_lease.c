/* specimen: leases for reading and writing, told by a signal | group: files | needs: nothing */
#include "locks.h"

int main(void) {
    int reading = files_open_at(20, "read", O_RDONLY | O_CREAT), writing = files_open_at(21, "write", O_RDWR | O_CREAT);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    specimen_equal(fcntl(reading, F_SETLEASE, F_RDLCK), 0);
    specimen_equal(fcntl(writing, F_SETLEASE, F_WRLCK), 0);
    specimen_equal(fcntl(writing, F_SETSIG, SIGUSR2), 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(fcntl(reading, F_GETLEASE), F_RDLCK);
    specimen_equal(fcntl(writing, F_GETLEASE), F_WRLCK);
    specimen_equal(sigtimedwait(&set, NULL, &(struct timespec){0, 0}), -1);
    files_fails(open("write", O_RDONLY | O_NONBLOCK), EWOULDBLOCK);
    siginfo_t info;
    specimen_equal(sigtimedwait(&set, &info, &(struct timespec){20, 0}), SIGUSR2);
    specimen_equal(info.si_fd, writing);
    specimen_equal(fcntl(writing, F_SETLEASE, F_UNLCK), 0);
    specimen_check(open("write", O_RDONLY | O_NONBLOCK) >= 0);
    return specimen_pass();
}
