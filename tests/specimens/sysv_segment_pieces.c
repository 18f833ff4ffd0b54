/* specimen: System V shared memory attached twice, once only to be read, partly unmapped and protected | group: objects | needs: root */
#include "sysv.h"

int main(void) {
    sysv_namespace();
    int id = shmget(IPC_PRIVATE, 8 * PAGE, IPC_CREAT | 0600);
    char *one = sysv_attach(id, 0), *two = sysv_attach(id, SHM_RDONLY);
    memory_fill(one, 8 * PAGE, 7);
    specimen_equal(munmap(one + 2 * PAGE, PAGE), 0);
    specimen_equal(mprotect(one + 5 * PAGE, PAGE, PROT_READ), 0);

    specimen_ready();
    specimen_wait();

    memory_check(one, 2 * PAGE, 7);
    memory_check(two, 2 * PAGE, 7);
    one[4 * PAGE] = 1;
    specimen_equal(two[4 * PAGE], 1);
    specimen_equal(mprotect(two, PAGE, PROT_READ | PROT_WRITE), -1);
    specimen_equal(sysv_segment(id).shm_nattch, 5); /* one for each piece */
    unsigned char there;
    specimen_equal(mincore(one + 2 * PAGE, PAGE, &there), -1);
    int pipes[2];
    specimen_equal(pipe(pipes), 0);
    specimen_equal(write(pipes[1], "x", 1), 1);
    specimen_equal(read(pipes[0], one + 5 * PAGE, 1), -1); /* EFAULT: may not be written */
    specimen_equal(shmdt(one), 0);
    specimen_equal(shmdt(two), 0);
    specimen_equal(sysv_segment(id).shm_nattch, 0);
    return specimen_pass();
}
