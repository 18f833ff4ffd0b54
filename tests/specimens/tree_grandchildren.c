/* specimen: children, grandchildren and great-grandchildren, two each | group: tree | needs: nothing */
#include "peer.h"

enum { DEPTH = 3 };

static void member(struct peer *me) {
    int depth = *(int *)me->data;
    pid_t self = getpid(), parent = getppid();
    struct peer *below[2] = {NULL, NULL};
    for (int i = 0; i < 2 && depth < DEPTH; i++) {
        int next = depth + 1;
        below[i] = peer_start_with(member, &next);
        specimen_check(getpid() == self);
    }
    peer_turn(me);
    specimen_equal(getpid(), self);
    specimen_equal(getppid(), parent);
    for (int i = 0; i < 2 && below[i]; i++) {
        specimen_equal(waitpid(below[i]->pid, NULL, WNOHANG), 0);
        peer_end(below[i]);
    }
    specimen_equal(waitpid(-1, NULL, WNOHANG), -1);
    specimen_equal(errno, ECHILD);
}

int main(void) {
    int depth = 1;
    struct peer *first = peer_start_with(member, &depth), *second = peer_start_with(member, &depth);

    specimen_ready();
    specimen_wait();

    peer_end(second);
    peer_end(first);
    return specimen_pass();
}
