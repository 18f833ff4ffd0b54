/* specimen: epoll with an edge-triggered entry that is not ready | group: events | needs: nothing */
#include "events.h"

int main(void) {
    int epoll = epoll_create1(0), ends[2];
    specimen_equal(pipe(ends), 0);
    events_add(epoll, ends[0], EPOLLIN | EPOLLET, 9);

    specimen_ready();
    specimen_wait();

    events_expect_none(epoll);
    specimen_equal(write(ends[1], "x", 1), 1);
    events_expect(epoll, EPOLLIN, 9, 0);
    events_expect_none(epoll);
    specimen_equal(write(ends[1], "x", 1), 1);
    events_expect(epoll, EPOLLIN, 9, 0);
    return specimen_pass();
}
