/* specimen: a process that bears its children into a PID namespace in which it is not (unshare), two are there | group: ns | needs: root, new namespaces */
#include "ns.h"

static void member(struct peer *me) {
    pid_t own = getpid();
    specimen_equal(getppid(), 0);
    peer_turn(me);
    specimen_equal(getpid(), own);
    specimen_equal(getppid(), 0);
}

static int status_of_child(void) {
    pid_t pid = fork();
    if (pid == 0) _exit(getpid());
    int status;
    specimen_check(pid > 0);
    specimen_equal(waitpid(pid, &status, 0), pid);
    return WEXITSTATUS(status);
}

int main(void) {
    ns_need(CLONE_NEWPID);
    specimen_equal(unshare(CLONE_NEWPID), 0);
    struct peer *first = peer_start(member), *second = peer_start(member);
    specimen_equal(status_of_child(), 3);

    specimen_ready();
    specimen_wait();

    specimen_check(status_of_child() > 2); /* the third is born in there as well */
    peer_end(second);
    peer_end(first);
    specimen_check(fork() < 0 && errno == ENOMEM); /* its first process has ended, and the namespace with it */
    return specimen_pass();
}
