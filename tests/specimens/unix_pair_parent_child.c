/* specimen: pair between parent and child | group: sockets | needs: nothing */
#include "unix.h"

static void child(struct peer *me) {
    int *pair = me->data;
    close(pair[0]);
    peer_turn(me);
    unix_expect(pair[1], "down");
    unix_send(pair[1], "up");
    unix_expect_made_by(pair[1], getppid(), geteuid(), getegid());
    peer_turn(me);
}

int main(void) {
    int pair[2];
    unix_pair(SOCK_STREAM, pair);
    struct peer *peer = peer_start_with(child, pair);
    close(pair[1]);
    unix_send(pair[0], "down");

    specimen_ready();
    specimen_wait();

    peer_step(peer);
    unix_expect(pair[0], "up");
    unix_expect_made_by(pair[0], getpid(), geteuid(), getegid());
    peer_end(peer);
    unix_expect_end(pair[0]);
    return specimen_pass();
}
