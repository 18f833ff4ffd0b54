/* specimen: System V shared memory that was removed while it is attached | group: objects | needs: root */
#include "sysv.h"

static char *area;

static void child(struct peer *me) {
    peer_turn(me);
    memory_check(area, PAGE, 3);
    memory_fill(area, PAGE, 4);
    peer_turn(me);
}

int main(void) {
    sysv_namespace();
    int id = shmget(SYSV_KEY, PAGE, IPC_CREAT | 0600);
    area = sysv_attach(id, 0);
    memory_fill(area, PAGE, 3);
    struct peer *peer = peer_start(child);
    specimen_equal(shmctl(id, IPC_RMID, NULL), 0);

    specimen_ready();
    specimen_wait();

    struct shmid_ds found = sysv_segment(id);
    specimen_check(found.shm_perm.mode & SHM_DEST);
    specimen_equal(found.shm_nattch, 2);
    peer_step(peer);
    memory_check(area, PAGE, 4);
    peer_end(peer);
    specimen_equal(shmdt(area), 0);
    specimen_equal(shmctl(id, IPC_STAT, &found), -1); /* it has gone with the last who had it */
    return specimen_pass();
}
