/* specimen: two sessions below the root's; a child of each leader that is of the new session, and one that is not | group: tree | needs: nothing */
#include "peer.h"

static void member(struct peer *me) {
    pid_t session = getsid(0), group = getpgrp();
    specimen_check(session != getpid());
    peer_turn(me);
    specimen_equal(getsid(0), session);
    specimen_equal(getpgrp(), group);
    peer_turn(me);
}

/* The first child is born before setsid and stays behind in the old session; the second one is of the new. */
static void leader(struct peer *me) {
    struct peer *before = peer_start(member);
    pid_t old = getsid(0), self = getpid();
    specimen_equal(setsid(), self);
    struct peer *after = peer_start(member);
    peer_turn(me);
    specimen_equal(getsid(0), self);
    specimen_equal(getpgrp(), self);
    specimen_equal(getsid(before->pid), old);
    specimen_equal(getsid(after->pid), self);
    specimen_equal(setsid(), -1);
    specimen_equal(errno, EPERM);
    peer_step(before);
    peer_step(after);
    peer_end(before);
    peer_end(after);
}

int main(void) {
    specimen_equal(getsid(0), getpid());
    struct peer *one = peer_start(leader), *other = peer_start(leader);

    specimen_ready();
    specimen_wait();

    specimen_equal(getsid(0), getpid());
    specimen_equal(getsid(one->pid), one->pid);
    specimen_equal(getsid(other->pid), other->pid);
    peer_end(one);
    peer_end(other);
    return specimen_pass();
}
