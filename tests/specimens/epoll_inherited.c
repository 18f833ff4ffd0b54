/* specimen: epoll that parent and child have, filled by the child with files of its own | group: events | needs: nothing */
#include "events.h"
#include "peer.h"

static int pipes_[2];

static void child(struct peer *me) {
    int epoll = *(int *)me->data;
    specimen_equal(pipe(pipes_), 0);
    events_add(epoll, pipes_[0], EPOLLIN, 8);
    peer_turn(me);
    specimen_equal(write(pipes_[1], "x", 1), 1);
    peer_turn(me);
    events_expect(epoll, EPOLLIN, 8, 0);
}

int main(void) {
    int epoll = epoll_create1(0);
    struct peer *peer = peer_start_with(child, &epoll);

    specimen_ready();
    specimen_wait();

    events_expect_none(epoll);
    peer_step(peer);
    events_expect(epoll, EPOLLIN, 8, 0);
    peer_end(peer);
    events_expect_none(epoll);
    return specimen_pass();
}
