/* specimen: pidfd of the parent, held by a child and inherited by its child | group: objects | needs: nothing */
#include "pidfd.h"

static int fd;
static void grandchild(struct peer *me) {
    peer_turn(me);
    specimen_equal(pidfd_kill(fd, 0), 0);
    specimen_equal(pidfd_kill(fd, SIGUSR1), 0);
}
static void child(struct peer *me) {
    fd = pidfd_new(getppid(), 0);
    struct peer *peer = peer_start(grandchild);
    peer_turn(me);
    peer_end(peer);
}

int main(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    struct peer *peer = peer_start(child);

    specimen_ready();
    specimen_wait();

    peer_end(peer);
    specimen_equal(sigtimedwait(&set, NULL, &(struct timespec){.tv_sec = 10}), SIGUSR1);
    return specimen_pass();
}
