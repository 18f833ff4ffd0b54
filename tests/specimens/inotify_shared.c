/* specimen: inotify that a child has inherited, watched by epoll | group: events | needs: root */
#include "inotify.h"
#include "peer.h"

static void child(struct peer *me) {
    int fd = *(int *)me->data;
    peer_turn(me);
    inotify_expect(fd, 1, IN_CREATE, "new");
    mkdir("two", 0700);
    specimen_equal(inotify_watch(fd, "two", IN_CREATE), 2);
}

int main(void) {
    int fd = inotify_new(0), epoll = epoll_create1(0);
    mkdir("one", 0700);
    specimen_equal(inotify_watch(fd, "one", IN_CREATE), 1);
    events_add(epoll, fd, EPOLLIN, 4);
    struct peer *peer = peer_start_with(child, &fd);

    specimen_ready();
    specimen_wait();

    events_expect_none(epoll);
    inotify_touch("one/new");
    events_expect(epoll, EPOLLIN, 4, 0);
    peer_end(peer);
    events_expect_none(epoll);
    inotify_touch("two/other");
    inotify_expect(fd, 2, IN_CREATE, "other");
    return specimen_pass();
}
