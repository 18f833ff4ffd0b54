/* specimen: subreaper flag: who loses its parent after the restart comes to the root | group: tree | needs: nothing */
#include "peer.h"

#include <sys/prctl.h>

static void grandchild(struct peer *me) {
    peer_turn(me);
    _exit(5);
}

/* Ends without caring for its child. */
static void child(struct peer *me) {
    struct peer *below = peer_start(grandchild);
    *(pid_t *)me->data = below->pid;
    peer_turn(me);
    peer_tell(below);
}

int main(void) {
    specimen_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
    pid_t *grandchild_pid = peer_shared(sizeof *grandchild_pid);
    struct peer *peer = peer_start_with(child, grandchild_pid);

    specimen_ready();
    specimen_wait();

    int flag = 0;
    specimen_equal(prctl(PR_GET_CHILD_SUBREAPER, &flag), 0);
    specimen_equal(flag, 1);
    peer_end(peer);
    int status = 0;
    specimen_equal(waitpid(*grandchild_pid, &status, 0), *grandchild_pid);
    specimen_equal(WEXITSTATUS(status), 5);
    return specimen_pass();
}
