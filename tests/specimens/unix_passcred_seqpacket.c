/* specimen: unread messages on a seqpacket socket that tells who sent them | group: sockets | needs: nothing */
#include "unix.h"

static void child(struct peer *me) {
    int *pair = me->data;
    unix_send(pair[1], "child");
    peer_turn(me);
    unix_send(pair[1], "child");
    peer_turn(me);
}

int main(void) {
    int pair[2];
    unix_pair(SOCK_SEQPACKET, pair);
    unix_set(pair[0], SO_PASSCRED, 1);
    struct peer *peer = peer_start_with(child, pair);
    unix_send(pair[1], "parent");
    peer_step(peer);

    specimen_ready();
    specimen_wait();

    struct ucred sender;
    unix_expect_fds(pair[0], "child", NULL, 0, &sender);
    specimen_equal(sender.pid, peer->pid);
    unix_expect_fds(pair[0], "parent", NULL, 0, &sender);
    specimen_equal(sender.pid, getpid());
    unix_expect_fds(pair[0], "child", NULL, 0, &sender);
    specimen_equal(sender.pid, peer->pid);
    specimen_equal(sender.uid, geteuid());
    unix_send(pair[1], "new");
    unix_expect_fds(pair[0], "new", NULL, 0, &sender);
    specimen_equal(sender.pid, getpid());
    peer_end(peer);
    return specimen_pass();
}
