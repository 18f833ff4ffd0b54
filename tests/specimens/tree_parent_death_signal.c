/* specimen: parent-death signal: kept, and sent when the parent ends after the restart | group: tree | needs: nothing */
#include "peer.h"

#include <sys/prctl.h>

static volatile sig_atomic_t told;
static void tell(int number) { told = number; }

static void grandchild(struct peer *me) {
    struct sigaction action = {.sa_handler = tell};
    sigaction(SIGUSR1, &action, NULL);
    specimen_equal(prctl(PR_SET_PDEATHSIG, SIGUSR1), 0);
    peer_turn(me);
    int number = 0;
    specimen_equal(told, 0);
    specimen_equal(prctl(PR_GET_PDEATHSIG, &number), 0);
    specimen_equal(number, SIGUSR1);
    /* The parent is told of this step, and ends; the signal is what ends the pause. */
    sigset_t blocked, open;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &blocked, &open);
    peer_turn(me);
    while (!told) sigsuspend(&open);
    specimen_equal(told, SIGUSR1);
    _exit(3);
}

static void child(struct peer *me) {
    struct peer *below = peer_start(grandchild);
    *(pid_t *)me->data = below->pid;
    peer_turn(me);
    peer_step(below);
    peer_tell(below);
}

int main(void) {
    specimen_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
    pid_t *pid = peer_shared(sizeof *pid);
    struct peer *peer = peer_start_with(child, pid);

    specimen_ready();
    specimen_wait();

    peer_end(peer);
    int status = 0;
    specimen_equal(waitpid(*pid, &status, 0), *pid);
    specimen_equal(WEXITSTATUS(status), 3);
    return specimen_pass();
}
