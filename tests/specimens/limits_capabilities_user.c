/* specimen: a child of another user that kept a capability (ambient and effective) | group: limits | needs: root */
#include "capabilities.h"
#include "peer.h"

static void child(struct peer *me) {
    struct capabilities wanted = {
        .inheritable = CAPABILITY(CAP_NET_BIND_SERVICE),
        .permitted = CAPABILITY(CAP_NET_BIND_SERVICE) | CAPABILITY(CAP_SETUID),
        .effective = CAPABILITY(CAP_NET_BIND_SERVICE),
        .bounding = capabilities_get().bounding,
        .ambient = CAPABILITY(CAP_NET_BIND_SERVICE),
    };
    specimen_equal(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), 0);
    specimen_equal(setresgid(7070, 7070, 7070), 0);
    specimen_equal(setresuid(6060, 6060, 6060), 0);
    specimen_equal(prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0), 0);
    capabilities_set(&wanted);
    peer_turn(me);
    capabilities_expect(&wanted);
    specimen_equal_text(task_status(getpid(), "Uid"), "6060\t6060\t6060\t6060");
}

int main(void) {
    struct peer *peer = peer_start(child);

    specimen_ready();
    specimen_wait();

    peer_end(peer);
    return specimen_pass();
}
