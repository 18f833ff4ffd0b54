/* specimen: an orphan, adopted by the root, which is a subreaper | group: tree | needs: nothing */
#include "orphan.h"

static pid_t root;

static void orphan(struct peer *me) {
    pid_t self = getpid();
    peer_turn(me);
    specimen_equal(getpid(), self);
    specimen_equal(getppid(), root);
    peer_turn(me);
    _exit(33);
}

int main(void) {
    root = getpid();
    struct peer *peer = orphan_start(orphan);

    specimen_ready();
    specimen_wait();

    peer_step(peer);
    peer_tell(peer);
    int status = 0;
    specimen_equal(wait(&status), peer->pid);
    specimen_equal(WEXITSTATUS(status), 33);
    return specimen_pass();
}
