/* specimen: System V semaphores with values, and a process that waits for one | group: objects | needs: root */
#include "sysv.h"

static int id;

static void child(struct peer *me) {
    peer_turn(me);
    struct sembuf two = {.sem_num = 3, .sem_op = -2};
    specimen_equal(syscall(SYS_semop, id, &two, 1), 0); /* blocks; the C library would call semtimedop */
    peer_turn(me);
}

int main(void) {
    sysv_namespace();
    id = semget(SYSV_KEY, 300, IPC_CREAT | 0660);
    for (int i = 0; i < 300; i++) sysv_set(id, i, i * 109 % 32768);
    sysv_set(id, 3, 1);
    struct peer *peer = peer_start(child);
    peer_tell(peer);
    peer_await_call(peer->pid, SYS_semop);

    specimen_ready();
    specimen_wait();

    specimen_equal(semget(SYSV_KEY, 300, 0), id);
    for (int i = 0; i < 300; i++) sysv_value(id, i, i == 3 ? 1 : i * 109 % 32768);
    peer_await_call(peer->pid, SYS_semop);
    specimen_equal(semctl(id, 3, GETNCNT), 1);
    sysv_operate(id, 3, 1, 0);
    peer_wait(peer);
    sysv_value(id, 3, 0);
    peer_end(peer);
    return specimen_pass();
}
