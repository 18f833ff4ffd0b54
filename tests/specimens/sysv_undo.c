/* specimen: System V semaphores to which a process will have something undone at its end | group: objects | needs: root */
#include "sysv.h"

static int id;

static void child(struct peer *me) {
    sysv_operate(id, 0, -3, SEM_UNDO);
    sysv_operate(id, 1, 32767, SEM_UNDO);
    sysv_operate(id, 1, -32767, 0);
    sysv_operate(id, 1, 1, SEM_UNDO);
    sysv_operate(id, 2, -32767, SEM_UNDO);
    sysv_operate(id, 2, 16000, 0);
    sysv_operate(id, 4, 17, SEM_UNDO);
    sysv_operate(id, 5, -1, SEM_UNDO);
    sysv_operate(id, 5, 1, SEM_UNDO);
    peer_turn(me);
}

int main(void) {
    sysv_namespace();
    id = semget(IPC_PRIVATE, 6, IPC_CREAT | 0600);
    sysv_set(id, 0, 5);
    sysv_set(id, 2, 32767);
    sysv_set(id, 3, 99);
    sysv_set(id, 5, 1);
    struct peer *peer = peer_start(child);
    sysv_operate(id, 3, -9, SEM_UNDO); /* of this process, whose own is not to come to anything */

    specimen_ready();
    specimen_wait();

    int before[] = {2, 1, 16000, 90, 17, 1};
    for (int i = 0; i < 6; i++) sysv_value(id, i, before[i]);
    sysv_operate(id, 1, 32766, 0);
    sysv_operate(id, 2, -16000, 0);
    peer_end(peer);
    /* The kernel does not go below zero or above the highest value. */
    int after[] = {5, 0, 32767, 90, 0, 1};
    for (int i = 0; i < 6; i++) sysv_value(id, i, after[i]);
    return specimen_pass();
}
