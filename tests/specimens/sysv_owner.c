/* specimen: System V objects with a creator and an owner that are other users | group: objects | needs: root */
#include "sysv.h"

static int *ids;

static void child(struct peer *me) {
    specimen_check(setegid(1234) == 0 && seteuid(4321) == 0);
    ids[0] = shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0606);
    ids[1] = semget(IPC_PRIVATE, 1, IPC_CREAT | 0640);
    ids[2] = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
    specimen_check(ids[0] >= 0 && ids[1] >= 0 && ids[2] >= 0);
    peer_turn(me);
}

static void check(struct ipc_perm found, int mode) {
    specimen_equal(found.cuid, 4321);
    specimen_equal(found.cgid, 1234);
    specimen_equal(found.uid, 77);
    specimen_equal(found.gid, 1234);
    specimen_equal(found.mode & 0777, mode);
}

int main(void) {
    ids = peer_shared(3 * sizeof *ids);
    sysv_namespace();
    struct peer *peer = peer_start(child);
    peer_end(peer);
    struct shmid_ds shm = sysv_segment(ids[0]);
    struct semid_ds sem;
    struct msqid_ds msg;
    specimen_equal(semctl(ids[1], 0, IPC_STAT, &sem), 0);
    specimen_equal(msgctl(ids[2], IPC_STAT, &msg), 0);
    shm.shm_perm.uid = sem.sem_perm.uid = msg.msg_perm.uid = 77;
    specimen_equal(shmctl(ids[0], IPC_SET, &shm), 0);
    specimen_equal(semctl(ids[1], 0, IPC_SET, &sem), 0);
    specimen_equal(msgctl(ids[2], IPC_SET, &msg), 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(semctl(ids[1], 0, IPC_STAT, &sem), 0);
    specimen_equal(msgctl(ids[2], IPC_STAT, &msg), 0);
    check(sysv_segment(ids[0]).shm_perm, 0606);
    check(sem.sem_perm, 0640);
    check(msg.msg_perm, 0600);
    return specimen_pass();
}
