/* specimen: groups across the tree: a child in its nephew's group, a parent in its child's | group: tree | needs: nothing */
#include "peer.h"

static void leaf(struct peer *me) {
    specimen_equal(setpgid(0, 0), 0);
    peer_turn(me);
    specimen_equal(getpgrp(), getpid());
}

/* Joins the group of its own child. */
static void parent(struct peer *me) {
    struct peer *below = peer_start(leaf);
    specimen_equal(setpgid(0, below->pid), 0);
    *(pid_t *)me->data = below->pid;
    peer_turn(me);
    specimen_equal(getpgrp(), below->pid);
    peer_end(below);
}

/* Joins the group of its brother's child. */
static void uncle(struct peer *me) {
    pid_t nephew = *(pid_t *)me->data;
    specimen_equal(setpgid(0, nephew), 0);
    peer_turn(me);
    specimen_equal(getpgrp(), nephew);
}

int main(void) {
    pid_t *nephew = peer_shared(sizeof *nephew);
    struct peer *one = peer_start_with(parent, nephew), *other = peer_start_with(uncle, nephew);

    specimen_ready();
    specimen_wait();

    specimen_equal(getpgid(one->pid), *nephew);
    specimen_equal(getpgid(other->pid), *nephew);
    specimen_equal(getpgrp(), getpid());
    peer_end(other);
    peer_end(one);
    return specimen_pass();
}
