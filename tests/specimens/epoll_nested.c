/* specimen: epoll instances that watch each other, three deep | group: events | needs: nothing */
#include "events.h"

int main(void) {
    int outer = epoll_create1(0), middle = epoll_create1(0), inner = epoll_create1(0), event = eventfd(0, 0);
    events_add(outer, middle, EPOLLIN, 1);
    events_add(middle, inner, EPOLLIN, 2);
    events_add(inner, event, EPOLLIN, 3);

    specimen_ready();
    specimen_wait();

    events_expect_none(outer);
    specimen_equal(eventfd_write(event, 1), 0);
    events_expect(outer, EPOLLIN, 1, 0);
    events_expect(middle, EPOLLIN, 2, 0);
    events_expect(inner, EPOLLIN, 3, 0);
    return specimen_pass();
}
