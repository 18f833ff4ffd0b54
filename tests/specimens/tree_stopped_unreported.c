/* specimen: children stopped by SIGSTOP and SIGTSTP, which their parent has yet to wait for | group: tree | needs: nothing */
#include "peer.h"
#include "task.h"

static void child(struct peer *me) { peer_turn(me); }

int main(void) {
    static const int signals[2] = {SIGSTOP, SIGTSTP};
    struct peer *peers[2];
    for (int i = 0; i < 2; i++) {
        peers[i] = peer_start(child);
        specimen_equal(setpgid(peers[i]->pid, 0), 0); /* SIGTSTP does not stop a group that nobody here could continue */
        specimen_equal(kill(peers[i]->pid, signals[i]), 0);
        task_await_state(peers[i]->pid, "T");
    }

    specimen_ready();
    specimen_wait();

    for (int i = 0; i < 2; i++) {
        specimen_equal(task_state(peers[i]->pid), 'T');
        int status = 0;
        specimen_equal(waitpid(peers[i]->pid, &status, WUNTRACED | WNOHANG), peers[i]->pid);
        specimen_check(WIFSTOPPED(status));
        specimen_equal(WSTOPSIG(status), signals[i]);
        specimen_equal(waitpid(peers[i]->pid, &status, WUNTRACED | WNOHANG), 0);
        specimen_equal(kill(peers[i]->pid, SIGCONT), 0);
        peer_end(peers[i]);
    }
    return specimen_pass();
}
