/* specimen: signalfd that a child has inherited: each reads its own signals, and a new mask is the mask of both | group: events | needs: nothing */
#include "events.h"
#include "peer.h"

static void child(struct peer *me) {
    int fd = *(int *)me->data;
    peer_turn(me);
    kill(getpid(), SIGUSR1);
    events_expect_signal(fd, SIGUSR1);
    sigset_t set = events_set(SIGUSR2, 0);
    specimen_equal(signalfd(fd, &set, 0), fd);
}

int main(void) {
    int fd = events_signalfd(SIGUSR1, SIGUSR2, SFD_NONBLOCK);
    struct peer *peer = peer_start_with(child, &fd);

    specimen_ready();
    specimen_wait();

    peer_end(peer);
    kill(getpid(), SIGUSR1);
    specimen_equal(files_poll(fd), 0);
    kill(getpid(), SIGUSR2);
    events_expect_signal(fd, SIGUSR2);
    return specimen_pass();
}
