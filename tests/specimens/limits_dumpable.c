/* specimen: the dumpable flag: off in the root, on in a child | group: limits | needs: root */
#include "peer.h"

#include <sys/prctl.h>

static void child(struct peer *me) {
    specimen_equal(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), 0);
    peer_turn(me);
    specimen_equal(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 1);
}

int main(void) {
    specimen_equal(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), 0);
    struct peer *peer = peer_start(child);

    specimen_ready();
    specimen_wait();

    specimen_equal(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
    peer_end(peer);
    return specimen_pass();
}
