/* specimen: epoll with two entries that were added by the same number, one after the other | group: events | needs: nothing */
#include "events.h"

int main(void) {
    int epoll = epoll_create1(0), number = eventfd(0, 0), one = fcntl(number, F_DUPFD, 50);
    events_add(epoll, number, EPOLLIN, 1);
    close(number);
    specimen_equal(eventfd(0, 0), number);
    events_add(epoll, number, EPOLLIN, 2);

    specimen_ready();
    specimen_wait();

    specimen_equal(eventfd_write(one, 1), 0);
    events_expect(epoll, EPOLLIN, 1, 0);
    events_ticks(one);
    specimen_equal(eventfd_write(number, 1), 0);
    events_expect(epoll, EPOLLIN, 2, 0);
    close(number);
    events_expect_none(epoll);
    return specimen_pass();
}
