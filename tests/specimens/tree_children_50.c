/* specimen: fifty children of one parent, waited for in the order of their deaths | group: tree | needs: nothing */
#include "peer.h"

#ifndef COUNT
#define COUNT 50
#endif

static void child(struct peer *me) {
    pid_t parent = getppid();
    int number = *(int *)me->data;
    peer_turn(me);
    specimen_equal(getppid(), parent);
    _exit(number % 256);
}

int main(void) {
    struct peer *peers = peer_shared(COUNT * sizeof *peers);
    for (int i = 0; i < COUNT; i++) peer_start_at(&peers[i], child, 0, &i);

    specimen_ready();
    specimen_wait();

    for (int i = COUNT - 1; i >= 0; i--) {
        peer_tell(&peers[i]);
        int status = 0;
        specimen_equal(wait(&status), peers[i].pid);
        specimen_check(WIFEXITED(status));
        specimen_equal(WEXITSTATUS(status), i % 256);
    }
    specimen_equal(wait(NULL), -1);
    return specimen_pass();
}
