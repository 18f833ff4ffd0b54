/* specimen: epoll with an EPOLLEXCLUSIVE entry in each of two instances | group: events | needs: nothing */
#include "events.h"

int main(void) {
    int one = epoll_create1(0), two = epoll_create1(0), event = eventfd(0, 0);
    events_add(one, event, EPOLLIN | EPOLLEXCLUSIVE, 1);
    events_add(two, event, EPOLLIN | EPOLLEXCLUSIVE | EPOLLET, 2);

    specimen_ready();
    specimen_wait();

    specimen_equal(eventfd_write(event, 1), 0);
    events_expect(one, EPOLLIN, 1, 0);
    struct epoll_event change = {.events = EPOLLIN};
    files_fails(epoll_ctl(one, EPOLL_CTL_MOD, event, &change), EINVAL);
    files_fails(epoll_ctl(two, EPOLL_CTL_MOD, event, &change), EINVAL);
    return specimen_pass();
}
