/* specimen: signalfd that an epoll instance watches | group: events | needs: nothing */
#include "events.h"

int main(void) {
    int fd = events_signalfd(SIGUSR1, SIGUSR2, 0), epoll = epoll_create1(0);
    events_add(epoll, fd, EPOLLIN, 77);

    specimen_ready();
    specimen_wait();

    events_expect_none(epoll);
    kill(getpid(), SIGUSR2);
    events_expect(epoll, EPOLLIN, 77, 10000);
    events_expect_signal(fd, SIGUSR2);
    events_expect_none(epoll);
    return specimen_pass();
}
