/* specimen: pair that a process made which has ended | group: sockets | needs: nothing */
#include "unix.h"

static void child(struct peer *me) {
    int pair[2], *line = me->data;
    unix_pair(SOCK_STREAM, pair);
    unix_send_fd(line[1], "one", pair[0]), unix_send_fd(line[1], "two", pair[1]);
    peer_turn(me);
}

int main(void) {
    static int pair[2];
    int line[2];
    unix_pair(SOCK_STREAM, line);
    struct peer *peer = peer_start_with(child, line);
    pair[0] = unix_expect_fd(line[0], "one"), pair[1] = unix_expect_fd(line[0], "two");
    pid_t gone = peer->pid;
    peer_end(peer);

    specimen_ready();
    specimen_wait();

    unix_expect_made_by(pair[0], gone, geteuid(), getegid());
    unix_expect_made_by(pair[1], gone, geteuid(), getegid());
    unix_talk(pair[0], pair[1]);
    return specimen_pass();
}
