/* specimen: no_new_privs of one thread, and of a child | group: limits | needs: nothing */
#include "peer.h"
#include "worker.h"

#include <sys/prctl.h>

static int flag(void) { return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); }
static void set(void) { specimen_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0); }

static void run(struct worker *me) {
    set();
    worker_turn(me);
    specimen_equal(flag(), 1);
}

static void child(struct peer *me) {
    set();
    peer_turn(me);
    specimen_equal(flag(), 1);
}

int main(void) {
    struct peer *peer = peer_start(child);
    struct worker *worker = worker_start(run, NULL);

    specimen_ready();
    specimen_wait();

    specimen_equal(flag(), 0);
    worker_end(worker);
    peer_end(peer);
    return specimen_pass();
}
