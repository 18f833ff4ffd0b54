/* specimen: semaphores that a process of an IPC namespace of the tree will have undone, and memory shared in there | group: ns | needs: root, new namespaces */
#include "ns.h"
#include "sysv.h"

static int set, segment;

static void other(struct peer *me) {
    volatile char *area = sysv_attach(segment, 0);
    sysv_operate(set, 0, -3, SEM_UNDO);
    sysv_operate(set, 1, 4, SEM_UNDO);
    peer_turn(me);
    area[100] = 7;
}

static void inside(struct peer *me) {
    specimen_equal(unshare(CLONE_NEWIPC), 0);
    set = semget(IPC_PRIVATE, 2, IPC_CREAT | 0600);
    sysv_set(set, 0, 5);
    segment = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
    volatile char *area = sysv_attach(segment, SHM_RDONLY);
    specimen_equal(shmctl(segment, IPC_RMID, NULL), 0);
    struct peer *child = peer_start(other);
    peer_turn(me);

    sysv_value(set, 0, 2);
    sysv_value(set, 1, 4);
    specimen_equal(sysv_segment(segment).shm_nattch, 3); /* one of them inherited */
    peer_end(child);
    sysv_value(set, 0, 5);
    sysv_value(set, 1, 0);
    specimen_equal(area[100], 7);
}

int main(void) {
    ns_need(CLONE_NEWIPC);
    struct peer *peer = peer_start(inside);

    specimen_ready();
    specimen_wait();

    peer_end(peer);
    return specimen_pass();
}
