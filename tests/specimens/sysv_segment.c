/* specimen: System V shared memory attached by two processes, found by its key again | group: objects | needs: root */
#include "sysv.h"

static char *area;

static void child(struct peer *me) {
    peer_turn(me);
    memory_check(area, 4 * PAGE, 1);
    memory_fill(area + 5 * PAGE, PAGE, 5);
    specimen_equal(shmdt(area), 0);
    peer_turn(me);
}

int main(void) {
    sysv_namespace();
    /* Ids have a part that grows whenever a place in the table is used again. */
    specimen_equal(shmctl(shmget(IPC_PRIVATE, PAGE, 0600), IPC_RMID, NULL), 0);
    int id = shmget(SYSV_KEY, 8 * PAGE - 100, IPC_CREAT | IPC_EXCL | 0640);
    specimen_check(id >= 0);
    area = sysv_attach(id, 0);
    memory_fill(area, 4 * PAGE, 1);
    struct peer *peer = peer_start(child);

    specimen_ready();
    specimen_wait();

    specimen_equal(shmget(SYSV_KEY, 0, 0), id);
    struct shmid_ds found = sysv_segment(id);
    specimen_equal(found.shm_segsz, 8 * PAGE - 100);
    specimen_equal(found.shm_perm.mode, 0640);
    specimen_equal(found.shm_nattch, 2);
    memory_check(area, 4 * PAGE, 1);
    memory_check_zero(area + 4 * PAGE, 3 * PAGE);
    peer_step(peer);
    memory_check(area + 5 * PAGE, PAGE, 5);
    specimen_equal(sysv_segment(id).shm_nattch, 1);
    peer_end(peer);
    specimen_equal(shmdt(area), 0);
    specimen_equal(sysv_segment(id).shm_nattch, 0);
    return specimen_pass();
}
