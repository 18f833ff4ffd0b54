/* specimen: nice value of every thread and process | group: limits | needs: root */
#include "peer.h"
#include "worker.h"

#include <sys/resource.h>

static int nice_of(pid_t tid) {
    errno = 0;
    int value = getpriority(PRIO_PROCESS, tid);
    specimen_equal(errno, 0);
    return value;
}

static void run(struct worker *me) { worker_turn(me); }
static void child(struct peer *me) {
    specimen_equal(setpriority(PRIO_PROCESS, 0, -11), 0);
    peer_turn(me);
    specimen_equal(nice_of(0), -11);
}

int main(void) {
    struct worker *workers[3];
    struct peer *peer = peer_start(child);
    for (int i = 0; i < 3; i++) workers[i] = worker_start(run, NULL);
    specimen_equal(setpriority(PRIO_PROCESS, workers[0]->tid, 19), 0);
    specimen_equal(setpriority(PRIO_PROCESS, workers[1]->tid, -20), 0);
    specimen_equal(setpriority(PRIO_PROCESS, getpid(), 3), 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(nice_of(workers[0]->tid), 19);
    specimen_equal(nice_of(workers[1]->tid), -20);
    specimen_equal(nice_of(workers[2]->tid), 0);
    specimen_equal(nice_of(getpid()), 3);
    specimen_equal(nice_of(peer->pid), -11);
    for (int i = 0; i < 3; i++) worker_end(workers[i]);
    peer_end(peer);
    return specimen_pass();
}
