/* specimen: an orphan, adopted by a child that is a subreaper, while the root is none | group: tree | needs: nothing */
#include "orphan.h"

static pid_t adopter;

static void orphan(struct peer *me) {
    peer_turn(me);
    specimen_equal(getppid(), adopter);
}

static void child(struct peer *me) {
    adopter = getpid();
    struct peer *below = orphan_start(orphan);
    peer_turn(me);
    int flag = 0;
    specimen_equal(prctl(PR_GET_CHILD_SUBREAPER, &flag), 0);
    specimen_equal(flag, 1);
    peer_end(below);
}

int main(void) {
    struct peer *peer = peer_start(child);

    specimen_ready();
    specimen_wait();

    int flag = 1;
    specimen_equal(prctl(PR_GET_CHILD_SUBREAPER, &flag), 0);
    specimen_equal(flag, 0);
    peer_end(peer);
    return specimen_pass();
}
