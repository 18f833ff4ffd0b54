/* specimen: a zombie deep in the tree, a leader of its own session, with the name it had | group: tree | needs: nothing */
#include "peer.h"
#include "task.h"

#include <sys/prctl.h>

static void child(struct peer *me) {
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_NAME, "the deceased");
        setsid();
        _exit(44);
    }
    task_await_state(pid, "Z");
    peer_turn(me);
    specimen_equal(task_state(pid), 'Z');
    specimen_equal(getsid(pid), pid);
    specimen_equal(getpgid(pid), pid);
    specimen_equal_text(task_status(pid, "Name"), "the deceased");
    int status = 0;
    specimen_equal(waitpid(pid, &status, WNOHANG), pid);
    specimen_equal(WEXITSTATUS(status), 44);
}

int main(void) {
    struct peer *peer = peer_start(child);

    specimen_ready();
    specimen_wait();

    peer_end(peer);
    return specimen_pass();
}
