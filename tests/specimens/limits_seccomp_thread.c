/* specimen: seccomp filters: one that all threads have, and a second one of a single thread | group: limits | needs: root */
#include "seccomp.h"
#include "worker.h"

static void run(struct worker *me) {
    if (me->data) seccomp_refuse(SYS_getppid, SECCOMP_RET_ERRNO | 88);
    worker_turn(me);
    specimen_equal(task_status_number(me->tid, "Seccomp_filters"), me->data ? 2 : 1);
    seccomp_expect_errno(SYS_getpgrp, 66);
    if (me->data) seccomp_expect_errno(SYS_getppid, 88);
    else specimen_check(getppid() >= 0);
}

int main(void) {
    static int second = 1;
    seccomp_refuse(SYS_getpgrp, SECCOMP_RET_ERRNO | 66);
    struct worker *filtered = worker_start(run, &second), *plain = worker_start(run, NULL);

    specimen_ready();
    specimen_wait();

    specimen_equal(task_status_number(getpid(), "Seccomp_filters"), 1);
    seccomp_expect_errno(SYS_getpgrp, 66);
    specimen_check(getppid() >= 0);
    worker_end(filtered);
    worker_end(plain);
    return specimen_pass();
}
