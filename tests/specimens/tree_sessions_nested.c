/* specimen: a chain of five session leaders, each the child of the one before | group: tree | needs: nothing */
#include "peer.h"

static void leads(struct peer *me) {
    int depth = *(int *)me->data;
    specimen_equal(setsid(), getpid());
    pid_t parent_session = getsid(getppid());
    struct peer *below = NULL;
    if (depth < 5) {
        int next = depth + 1;
        below = peer_start_with(leads, &next);
    }
    peer_turn(me);
    specimen_equal(getsid(0), getpid());
    specimen_equal(getpgrp(), getpid());
    specimen_equal(getsid(getppid()), parent_session);
    specimen_equal(getppid(), parent_session);
    if (below) peer_end(below);
}

int main(void) {
    int depth = 1;
    struct peer *peer = peer_start_with(leads, &depth);

    specimen_ready();
    specimen_wait();

    peer_end(peer);
    return specimen_pass();
}
