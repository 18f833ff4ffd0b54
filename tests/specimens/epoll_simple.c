/* specimen: epoll with entries of several kinds, ready and not | group: events | needs: nothing */
#include "events.h"

int main(void) {
    int epoll = epoll_create1(EPOLL_CLOEXEC), event = eventfd(0, 0), ends[2];
    specimen_equal(pipe(ends), 0);
    events_add(epoll, event, EPOLLIN, 0xfedcba9876543210ull);
    events_add(epoll, ends[0], EPOLLIN | EPOLLPRI | EPOLLRDHUP, 2);
    specimen_equal(write(ends[1], "x", 1), 1);

    specimen_ready();
    specimen_wait();

    specimen_equal(fcntl(epoll, F_GETFD), FD_CLOEXEC);
    events_expect(epoll, EPOLLIN, 2, 0);
    char byte;
    specimen_equal(read(ends[0], &byte, 1), 1);
    events_expect_none(epoll);
    specimen_equal(eventfd_write(event, 1), 0);
    events_expect(epoll, EPOLLIN, 0xfedcba9876543210ull, 0);
    specimen_equal(epoll_ctl(epoll, EPOLL_CTL_DEL, event, NULL), 0);
    close(ends[1]);
    events_expect(epoll, EPOLLHUP, 2, 0);
    return specimen_pass();
}
