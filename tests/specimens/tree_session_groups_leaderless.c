/* specimen: a session with dead leader, and in it a process group with dead leader | group: tree | needs: nothing */
#include "orphan.h"

static pid_t *shared; /* 0: the session, 1: the group */

static void member(struct peer *me) {
    peer_turn(me);
    specimen_equal(getsid(0), shared[0]);
    specimen_equal(getpgrp(), shared[1]);
}

/* Leads a session; bears a child that leads a group for a moment, long enough for the caller to join it. */
static void become_leader(void) {
    shared[0] = setsid();
    pid_t child = fork();
    if (child == 0) for (;;) pause();
    specimen_equal(setpgid(child, child), 0);
    shared[1] = child;
}

static void join_group(struct peer *me) {
    specimen_equal(setpgid(0, shared[1]), 0);
    member(me);
}

int main(void) {
    shared = peer_shared(2 * sizeof *shared);
    struct peer *members[2];
    orphans_start(members, 2, become_leader, join_group);
    specimen_equal(kill(shared[1], SIGKILL), 0);
    specimen_equal(waitpid(shared[1], NULL, 0), shared[1]); /* it came to us with the death of its parent */

    specimen_ready();
    specimen_wait();

    for (int i = 0; i < 2; i++) {
        specimen_equal(getsid(members[i]->pid), shared[0]);
        specimen_equal(getpgid(members[i]->pid), shared[1]);
    }
    specimen_equal(kill(shared[1], 0), -1);
    specimen_equal(kill(-shared[1], 0), 0);
    for (int i = 0; i < 2; i++) peer_end(members[i]);
    specimen_equal(kill(-shared[1], 0), -1);
    return specimen_pass();
}
