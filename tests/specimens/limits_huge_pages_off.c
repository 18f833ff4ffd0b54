/* specimen: transparent huge pages switched off (PR_SET_THP_DISABLE) in the root, not in a child | group: limits | needs: nothing */
#include "peer.h"

#include <sys/prctl.h>

static void child(struct peer *me) {
    peer_turn(me);
    specimen_equal(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 0);
}

int main(void) {
    struct peer *peer = peer_start(child);
    specimen_equal(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 1);
    peer_end(peer);
    return specimen_pass();
}
