/* specimen: epoll with a thousand entries | group: events | needs: nothing */
#include "events.h"

enum { COUNT = 1000 };

int main(void) {
    int epoll = epoll_create1(0), fds[COUNT];
    for (int i = 0; i < COUNT; i++) {
        fds[i] = eventfd(0, 0);
        if (fds[i] < 0) specimen_skip("no %d open files", COUNT);
        events_add(epoll, fds[i], EPOLLIN, 100000 + i);
    }

    specimen_ready();
    specimen_wait();

    for (int i = COUNT - 1; i >= 0; i--) {
        specimen_equal(eventfd_write(fds[i], 1), 0);
        events_expect(epoll, EPOLLIN, 100000 + i, 0);
        events_ticks(fds[i]);
    }
    return specimen_pass();
}
