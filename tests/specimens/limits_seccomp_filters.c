/* specimen: three seccomp filters stacked in a child: two errors and a kill | group: limits | needs: root */
#include "peer.h"
#include "seccomp.h"

static void child(struct peer *me) {
    seccomp_refuse(SYS_getpgrp, SECCOMP_RET_ERRNO | 77);
    seccomp_refuse(SYS_getppid, SECCOMP_RET_ERRNO | 99);
    seccomp_refuse(SYS_sysinfo, SECCOMP_RET_KILL_PROCESS);
    peer_turn(me);
    specimen_equal(task_status_number(getpid(), "Seccomp"), SECCOMP_MODE_FILTER);
    specimen_equal(task_status_number(getpid(), "Seccomp_filters"), 3);
    seccomp_expect_errno(SYS_getpgrp, 77);
    seccomp_expect_errno(SYS_getppid, 99);
    seccomp_expect_death(SYS_sysinfo, SIGSYS);
    specimen_check(getpid() > 0 && getsid(0) > 0);
}

int main(void) {
    struct peer *peer = peer_start(child);

    specimen_ready();
    specimen_wait();

    specimen_equal(task_status_number(getpid(), "Seccomp"), SECCOMP_MODE_DISABLED);
    specimen_check(getpgrp() > 0);
    peer_end(peer);
    return specimen_pass();
}
