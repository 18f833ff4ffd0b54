/* specimen: a child stopped by SIGSTOP, which its parent knows; it goes on with SIGCONT | group: tree | needs: nothing */
#include "peer.h"
#include "task.h"

static void child(struct peer *me) {
    peer_turn(me);
    peer_turn(me);
}

int main(void) {
    struct peer *peer = peer_start(child);
    specimen_equal(kill(peer->pid, SIGSTOP), 0);
    int status = 0;
    specimen_equal(waitpid(peer->pid, &status, WUNTRACED), peer->pid);
    specimen_check(WIFSTOPPED(status));

    specimen_ready();
    specimen_wait();

    specimen_equal(task_state(peer->pid), 'T');
    specimen_equal(waitpid(peer->pid, &status, WUNTRACED | WNOHANG), 0);
    peer_tell(peer);
    specimen_equal(task_state(peer->pid), 'T');
    specimen_equal(kill(peer->pid, SIGCONT), 0);
    specimen_equal(waitpid(peer->pid, &status, WCONTINUED), peer->pid);
    specimen_check(WIFCONTINUED(status));
    peer_wait(peer);
    peer_end(peer);
    return specimen_pass();
}
