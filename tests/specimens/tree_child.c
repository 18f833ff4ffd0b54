/* specimen: a child: PID, parent, memory of its own, exit status for its parent | group: tree | needs: nothing */
#include "peer.h"
#include "task.h"

static int value = 1;

static void child(struct peer *me) {
    pid_t self = getpid(), parent = getppid();
    value = 2;
    peer_turn(me);
    specimen_equal(getpid(), self);
    specimen_equal(task_self(), self);
    specimen_equal(getppid(), parent);
    specimen_equal(value, 2);
    specimen_equal(waitpid(-1, NULL, WNOHANG), -1);
    specimen_equal(errno, ECHILD);
    peer_turn(me);
    _exit(77);
}

int main(void) {
    pid_t self = getpid();
    struct peer *peer = peer_start(child);

    specimen_ready();
    specimen_wait();

    specimen_equal(getpid(), self);
    specimen_equal(task_self(), self);
    specimen_equal(value, 1);
    specimen_equal(waitpid(-1, NULL, WNOHANG), 0);
    peer_step(peer);
    specimen_equal(task_status_number(peer->pid, "PPid"), self);
    peer_tell(peer);
    int status = 0;
    specimen_equal(waitpid(peer->pid, &status, 0), peer->pid);
    specimen_check(WIFEXITED(status));
    specimen_equal(WEXITSTATUS(status), 77);
    specimen_equal(waitpid(-1, NULL, 0), -1);
    return specimen_pass();
}
