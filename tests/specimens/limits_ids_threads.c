/* specimen: user and group IDs of single threads (system calls without libc, which would change all) | group: limits | needs: root */
#include "worker.h"

static void run(struct worker *me) {
    int number = *(int *)me->data;
    char users[64], ids[64];
    gid_t group = 300 + number;
    snprintf(users, sizeof users, "0\t%d\t%d\t%d", number, number + 1, number);
    snprintf(ids, sizeof ids, "%d\t%d\t%d\t%d", number + 2, number + 3, number + 4, number + 3);
    specimen_equal(syscall(SYS_setgroups, 1, &group), 0);
    specimen_equal(syscall(SYS_setresgid, number + 2, number + 3, number + 4), 0);
    specimen_equal(syscall(SYS_setresuid, 0, number, number + 1), 0);
    worker_turn(me);
    specimen_equal_text(task_status(me->tid, "Uid"), users);
    specimen_equal_text(task_status(me->tid, "Gid"), ids);
    gid_t found = 0;
    specimen_equal(syscall(SYS_getgroups, 1, &found), 1);
    specimen_equal(found, group);
}

int main(void) {
    static int numbers[2] = {4000, 5000};
    struct worker *workers[] = {worker_start(run, &numbers[0]), worker_start(run, &numbers[1])};

    specimen_ready();
    specimen_wait();

    specimen_equal_text(task_status(getpid(), "Uid"), "0\t0\t0\t0");
    specimen_equal_text(task_status(getpid(), "Gid"), "0\t0\t0\t0");
    for (int i = 0; i < 2; i++) worker_end(workers[i]);
    return specimen_pass();
}
