/* specimen: empty IPC namespace of the tree | group: ns | needs: root, new namespaces */
#include "ns.h"

#include <sys/shm.h>

static void inside(struct peer *me) {
    unsigned long long *outside = me->data;
    specimen_equal(unshare(CLONE_NEWIPC), 0);
    peer_turn(me);
    specimen_check(ns_inode("ipc") != *outside);
    int id = shmget(IPC_PRIVATE, 4096, 0600); /* the first of its namespace, which goes with it */
    specimen_equal(id, 0);
}

int main(void) {
    ns_need(CLONE_NEWIPC);
    unsigned long long *own = peer_shared(sizeof *own);
    struct peer *peer = peer_start_with(inside, own);

    specimen_ready();
    specimen_wait();

    *own = ns_inode("ipc");
    peer_end(peer);
    return specimen_pass();
}
