/* specimen: System V shared memory that nobody has attached, and one that is locked in memory | group: objects | needs: root */
#include "sysv.h"

int main(void) {
    sysv_namespace();
    int id = shmget(SYSV_KEY, 3 * PAGE, IPC_CREAT | 0600), locked = shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0400);
    char *area = sysv_attach(id, 0);
    memory_fill(area, 3 * PAGE, 9);
    specimen_equal(shmdt(area), 0);
    specimen_equal(shmctl(locked, SHM_LOCK, NULL), 0);

    specimen_ready();
    specimen_wait();

    specimen_check(sysv_segment(locked).shm_perm.mode & SHM_LOCKED);
    specimen_check(!(sysv_segment(id).shm_perm.mode & SHM_LOCKED));
    specimen_equal(sysv_segment(id).shm_nattch, 0);
    area = sysv_attach(shmget(SYSV_KEY, 0, 0), 0);
    memory_check(area, 3 * PAGE, 9);
    specimen_equal(shmdt(area), 0);
    return specimen_pass();
}
