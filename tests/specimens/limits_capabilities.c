/* specimen: a child with few capabilities, each of its five sets different | group: limits | needs: root */
#include "capabilities.h"
#include "peer.h"

static void child(struct peer *me) {
    struct capabilities wanted = {
        .inheritable = CAPABILITY(CAP_NET_RAW) | CAPABILITY(CAP_CHOWN),
        .permitted = CAPABILITY(CAP_NET_RAW) | CAPABILITY(CAP_CHOWN) | CAPABILITY(CAP_KILL) | CAPABILITY(CAP_AUDIT_WRITE),
        .effective = CAPABILITY(CAP_NET_RAW) | CAPABILITY(CAP_KILL),
        .bounding = capabilities_get().bounding & ~(CAPABILITY(CAP_SYS_BOOT) | CAPABILITY(CAP_SYSLOG)),
        .ambient = CAPABILITY(CAP_NET_RAW),
    };
    capabilities_set(&wanted);
    capabilities_expect(&wanted);
    peer_turn(me);
    capabilities_expect(&wanted);
    specimen_equal(syscall(SYS_chroot, "."), -1);
    specimen_equal(errno, EPERM);
}

int main(void) {
    struct capabilities own = capabilities_get();
    if (!(own.permitted & CAPABILITY(CAP_SETPCAP)) || !(own.permitted & CAPABILITY(CAP_NET_RAW)))
        specimen_skip("root has too few capabilities here");
    struct peer *peer = peer_start(child);

    specimen_ready();
    specimen_wait();

    capabilities_expect(&own);
    peer_end(peer);
    return specimen_pass();
}
