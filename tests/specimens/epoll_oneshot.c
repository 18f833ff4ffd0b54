/* specimen: epoll with an EPOLLONESHOT entry that has not fired | group: events | needs: nothing */
#include "events.h"

int main(void) {
    int epoll = epoll_create1(0), event = eventfd(0, 0);
    events_add(epoll, event, EPOLLIN | EPOLLONESHOT, 9);

    specimen_ready();
    specimen_wait();

    specimen_equal(eventfd_write(event, 1), 0);
    events_expect(epoll, EPOLLIN, 9, 0);
    events_expect_none(epoll);
    events_modify(epoll, event, EPOLLIN | EPOLLONESHOT, 10);
    events_expect(epoll, EPOLLIN, 10, 0);
    return specimen_pass();
}
