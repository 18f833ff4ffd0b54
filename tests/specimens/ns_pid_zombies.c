/* specimen: zombies in a nested PID namespace, and one that was the first of another one | group: ns | needs: root, new namespaces */
#include "ns.h"

static void first(struct peer *me) {
    pid_t one = fork();
    if (one == 0) _exit(41);
    pid_t two = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
    if (two == 0) _exit(42);
    siginfo_t info;
    specimen_equal(waitid(P_PID, one, &info, WEXITED | WNOWAIT), 0);
    specimen_equal(waitid(P_PID, two, &info, WEXITED | WNOWAIT), 0);
    peer_turn(me);
    int status;
    specimen_equal(waitpid(one, &status, 0), one);
    specimen_equal(WEXITSTATUS(status), 41);
    specimen_equal(waitpid(two, &status, 0), two);
    specimen_equal(WEXITSTATUS(status), 42);
}

int main(void) {
    ns_need(CLONE_NEWPID);
    struct peer *peer = ns_start(first, NULL);

    specimen_ready();
    specimen_wait();

    peer_end(peer);
    return specimen_pass();
}
