/* specimen: process that waits for bytes | group: sockets | needs: nothing */
#include "unix.h"

static void child(struct peer *me) {
    int *pair = me->data;
    char found[8] = {0};
    peer_turn(me);
    specimen_equal(recv(pair[1], found, 4, MSG_WAITALL), 4);
    specimen_equal_text(found, "text");
    peer_turn(me);
}

int main(void) {
    int pair[2];
    unix_pair(SOCK_STREAM, pair);
    struct peer *peer = peer_start_with(child, pair);
    peer_tell(peer);
    peer_await_call(peer->pid, SYS_recvfrom);

    specimen_ready();
    specimen_wait();

    unix_send(pair[0], "text");
    peer_wait(peer);
    peer_end(peer);
    return specimen_pass();
}
