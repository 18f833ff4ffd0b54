/* specimen: a stopped first process of a PID namespace, and a stopped one in there | group: ns | needs: root, new namespaces */
#include "ns.h"

static pid_t *stopped;

static void first(struct peer *me) {
    pid_t pid = fork();
    if (pid == 0) {
        raise(SIGSTOP);
        _exit(5);
    }
    siginfo_t info;
    specimen_equal(waitid(P_PID, pid, &info, WSTOPPED | WNOWAIT), 0);
    *stopped = pid;
    peer_turn(me);
    specimen_equal(waitid(P_PID, pid, &info, WSTOPPED), 0); /* nobody has waited for it yet */
    specimen_equal(info.si_status, SIGSTOP);
    specimen_equal(kill(pid, SIGCONT), 0);
    int status;
    specimen_equal(waitpid(pid, &status, 0), pid);
    specimen_equal(WEXITSTATUS(status), 5);
}

int main(void) {
    ns_need(CLONE_NEWPID);
    stopped = peer_shared(sizeof *stopped);
    struct peer *peer = ns_start(first, NULL);
    specimen_equal(kill(peer->pid, SIGSTOP), 0);
    task_await_state(peer->pid, "T");

    specimen_ready();
    specimen_wait();

    specimen_equal(task_state(peer->pid), 'T');
    specimen_equal(kill(peer->pid, SIGCONT), 0);
    peer_end(peer);
    return specimen_pass();
}
