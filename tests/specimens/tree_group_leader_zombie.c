/* specimen: a process group whose leader is a zombie, with a living member | group: tree | needs: nothing */
#include "peer.h"
#include "task.h"

static void leader(struct peer *me) {
    setpgid(0, 0);
    peer_turn(me);
    _exit(9);
}

static void member(struct peer *me) {
    peer_turn(me);
    specimen_check(getpgrp() != getpid() && getpgrp() != getppid());
}

int main(void) {
    struct peer *first = peer_start(leader), *second = peer_start(member);
    specimen_equal(setpgid(second->pid, first->pid), 0);
    peer_tell(first);
    task_await_state(first->pid, "Z");

    specimen_ready();
    specimen_wait();

    specimen_equal(task_state(first->pid), 'Z');
    specimen_equal(getpgid(first->pid), first->pid);
    specimen_equal(getpgid(second->pid), first->pid);
    int status = 0;
    specimen_equal(waitpid(-first->pid, &status, WNOHANG), first->pid);
    specimen_equal(WEXITSTATUS(status), 9);
    specimen_equal(getpgid(second->pid), first->pid);
    peer_end(second);
    return specimen_pass();
}
