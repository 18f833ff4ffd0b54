/* specimen: message queue that epoll watches, and a child is blocked in mq_receive | group: objects | needs: nothing */
#include "events.h"
#include "queues.h"
#include "peer.h"

static void child(struct peer *me) {
    int fd = *(int *)me->data;
    peer_turn(me);
    mqueue_expect(fd, "for you", 0);
}

int main(void) {
    int fd = mqueue_new(O_RDWR, 3, 100), epoll = epoll_create1(0);
    specimen_equal(mq_unlink(mqueue_name()), 0);
    events_add(epoll, fd, EPOLLIN, 6);
    struct peer *peer = peer_start_with(child, &fd);
    peer_tell(peer);
    peer_await_call(peer->pid, SYS_mq_timedreceive);

    specimen_ready();
    specimen_wait();

    specimen_equal(mq_send(fd, "for you", 7, 0), 0);
    peer_reap(peer);
    events_expect_none(epoll);
    specimen_equal(mq_send(fd, "for me", 6, 0), 0);
    events_expect(epoll, EPOLLIN, 6, 0);
    return specimen_pass();
}
