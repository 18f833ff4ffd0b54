/* specimen: epoll with EPOLLONESHOT entries that have fired, besides others | group: events | needs: nothing */
#include "events.h"

int main(void) {
    int epoll = epoll_create1(0), fired = eventfd(1, 0), quiet[2], other[2];
    specimen_equal(pipe(other), 0);
    specimen_equal(pipe(quiet), 0);
    events_add(epoll, fired, EPOLLIN | EPOLLONESHOT, 1);
    events_expect(epoll, EPOLLIN, 1, 0);
    events_add(epoll, quiet[0], EPOLLIN | EPOLLONESHOT, 3);
    specimen_equal(write(quiet[1], "x", 1), 1);
    events_expect(epoll, EPOLLIN, 3, 0);
    char byte;
    specimen_equal(read(quiet[0], &byte, 1), 1);
    events_add(epoll, other[0], EPOLLIN, 2);
    specimen_equal(write(other[1], "x", 1), 1);

    specimen_ready();
    specimen_wait();

    events_expect(epoll, EPOLLIN, 2, 0);
    events_expect(epoll, EPOLLIN, 2, 0);
    specimen_equal(read(other[0], &byte, 1), 1);
    events_expect_none(epoll);
    specimen_equal(write(quiet[1], "y", 1), 1);
    events_expect_none(epoll);
    events_modify(epoll, fired, EPOLLIN, 1);
    events_expect(epoll, EPOLLIN, 1, 0);
    return specimen_pass();
}
