/* specimen: folder and umask shared with a child (CLONE_FS), and a thread that has its own (unshare) | group: tree | needs: nothing */
#include "peer.h"
#include "worker.h"

#include <sys/stat.h>

static void child(struct peer *me) {
    peer_turn(me);
    specimen_equal(access("mark", F_OK), 0);
    specimen_equal(umask(0022), 0077);
    peer_turn(me);
}

static void apart(struct worker *me) {
    specimen_equal(unshare(CLONE_FS), 0);
    specimen_equal(chdir("one"), 0);
    worker_turn(me);
    specimen_equal(access("mark of one", F_OK), 0);
    specimen_equal(umask(0), 0055);
}

int main(void) {
    umask(0055);
    specimen_check(mkdir("one", 0700) == 0 && mkdir("other", 0700) == 0);
    specimen_check(mkdir("one/mark of one", 0700) == 0 && mkdir("other/mark", 0700) == 0);
    struct worker *worker = worker_start(apart, NULL);
    struct peer *peer = peer_start_sharing(child, CLONE_FS, NULL);

    specimen_ready();
    specimen_wait();

    specimen_equal(chdir("other"), 0);
    specimen_equal(umask(0077), 0055);
    peer_step(peer);
    specimen_equal(umask(0), 0022);
    worker_end(worker);
    peer_end(peer);
    return specimen_pass();
}
