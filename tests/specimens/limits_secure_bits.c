/* specimen: securebits of a child, some of them locked: root's UID gives and takes no capabilities | group: limits | needs: root */
#include "capabilities.h"
#include "peer.h"

static void child(struct peer *me) {
    long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_CAP_AMBIENT_RAISE;
    specimen_equal(prctl(PR_SET_SECUREBITS, bits, 0, 0, 0), 0);
    struct capabilities before = capabilities_get();
    peer_turn(me);
    specimen_equal(prctl(PR_GET_SECUREBITS, 0, 0, 0, 0), bits);
    capabilities_expect(&before);
    specimen_equal(setresuid(9090, 9090, 0), 0);
    capabilities_expect(&before);
    specimen_equal(prctl(PR_SET_SECUREBITS, 0, 0, 0, 0), -1);
}

int main(void) {
    struct peer *peer = peer_start(child);

    specimen_ready();
    specimen_wait();

    specimen_equal(prctl(PR_GET_SECUREBITS, 0, 0, 0, 0), 0);
    peer_end(peer);
    return specimen_pass();
}
