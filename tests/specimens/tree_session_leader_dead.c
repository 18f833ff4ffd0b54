/* specimen: a session whose leader is dead: two orphans live on in it | group: tree | needs: nothing */
#include "orphan.h"

static void member(struct peer *me) {
    pid_t session = getsid(0);
    specimen_check(session != getpid());
    peer_turn(me);
    specimen_equal(getsid(0), session);
    specimen_equal(getpgrp(), session);
    peer_turn(me);
    specimen_check(setsid() == getpid()); /* a free choice: nobody leads a group of that number */
}

static void become_leader(void) { specimen_equal(setsid(), getpid()); }

int main(void) {
    struct peer *members[2];
    pid_t session = orphans_start(members, 2, become_leader, member);

    specimen_ready();
    specimen_wait();

    for (int i = 0; i < 2; i++) {
        specimen_equal(getsid(members[i]->pid), session);
        specimen_equal(getpgid(members[i]->pid), session);
        peer_step(members[i]);
    }
    specimen_equal(kill(session, 0), -1);
    specimen_equal(errno, ESRCH);
    for (int i = 0; i < 2; i++) peer_end(members[i]);
    return specimen_pass();
}
