/* specimen: socket that has two descriptors, in parent and child | group: sockets | needs: nothing */
#include "unix.h"

static void child(struct peer *me) {
    int *fds = me->data;
    close(fds[1]);
    peer_turn(me);
    specimen_check(files_flags(fds[0]) & O_NONBLOCK);
    unix_send(fds[0], "from the child");
    peer_turn(me);
}

int main(void) {
    static int fds[3];
    unix_pair(SOCK_STREAM, fds);
    fds[2] = dup(fds[0]);
    struct peer *peer = peer_start_with(child, fds);
    close(fds[0]);

    specimen_ready();
    specimen_wait();

    specimen_check(fcntl(fds[2], F_SETFL, O_NONBLOCK) == 0);
    peer_step(peer);
    unix_expect(fds[1], "from the child");
    close(fds[2]);
    unix_expect_nothing(fds[1]);
    peer_end(peer);
    unix_expect_end(fds[1]);
    return specimen_pass();
}
