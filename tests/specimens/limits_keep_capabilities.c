/* specimen: PR_SET_KEEPCAPS: who gives up UID 0 after the restart keeps the permitted capabilities | group: limits | needs: root */
#include "capabilities.h"
#include "peer.h"

static void child(struct peer *me) {
    specimen_equal(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), 0);
    uint64_t permitted = capabilities_get().permitted;
    peer_turn(me);
    specimen_equal(prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0), 1);
    specimen_equal(setresuid(9090, 9090, 9090), 0);
    specimen_equal(capabilities_get().permitted, permitted);
    specimen_equal(capabilities_get().effective, 0);
}

int main(void) {
    struct peer *peer = peer_start(child);

    specimen_ready();
    specimen_wait();

    specimen_equal(prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0), 0);
    peer_end(peer);
    return specimen_pass();
}
