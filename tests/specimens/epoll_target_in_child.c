/* specimen: epoll whose target only a child has open any more | group: events | needs: nothing */
#include "events.h"
#include "peer.h"

static void child(struct peer *me) {
    int fd = *(int *)me->data;
    peer_turn(me);
    specimen_equal(eventfd_write(fd, 1), 0);
    peer_turn(me);
}

int main(void) {
    int epoll = epoll_create1(0), fd = eventfd(0, 0);
    events_add(epoll, fd, EPOLLIN, 1);
    struct peer *peer = peer_start_with(child, &fd);
    close(fd);

    specimen_ready();
    specimen_wait();

    events_expect_none(epoll);
    peer_step(peer);
    events_expect(epoll, EPOLLIN, 1, 0);
    peer_end(peer);
    events_expect_none(epoll);
    specimen_equal(events_info(epoll, "tfd:", 10), ~0ull);
    return specimen_pass();
}
