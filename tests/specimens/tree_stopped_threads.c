/* specimen: a stopped child of four threads: all of them stop, all of them go on | group: tree | needs: nothing */
#include "peer.h"
#include "worker.h"

static void run(struct worker *me) { worker_turn(me); }

static void child(struct peer *me) {
    struct worker *workers[3];
    pid_t *tids = me->data;
    for (int i = 0; i < 3; i++) {
        workers[i] = worker_start(run, NULL);
        tids[i] = workers[i]->tid;
    }
    peer_turn(me);
    for (int i = 0; i < 3; i++) worker_end(workers[i]);
}

int main(void) {
    pid_t *tids = peer_shared(3 * sizeof *tids);
    struct peer *peer = peer_start_with(child, tids);
    specimen_equal(kill(peer->pid, SIGSTOP), 0);
    int status = 0;
    specimen_equal(waitpid(peer->pid, &status, WUNTRACED), peer->pid);

    specimen_ready();
    specimen_wait();

    specimen_equal(task_state(peer->pid), 'T');
    for (int i = 0; i < 3; i++) specimen_equal(task_state(tids[i]), 'T');
    specimen_equal(waitpid(peer->pid, &status, WUNTRACED | WNOHANG), 0);
    specimen_equal(kill(peer->pid, SIGCONT), 0);
    peer_end(peer);
    return specimen_pass();
}
