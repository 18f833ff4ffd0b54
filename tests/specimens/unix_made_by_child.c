/* specimen: connection of a child, and who made each end | group: sockets | needs: nothing */
#include "unix.h"

static void child(struct peer *me) {
    int fd = unix_connected(SOCK_STREAM, "name");
    peer_turn(me);
    unix_expect(fd, "text");
    unix_expect_made_by(fd, getppid(), geteuid(), getegid());
}

int main(void) {
    int listener = unix_listening(SOCK_STREAM, "name", 5);
    struct peer *peer = peer_start(child);
    int server = unix_accepted(listener);

    specimen_ready();
    specimen_wait();

    unix_expect_made_by(server, peer->pid, geteuid(), getegid());
    unix_expect_made_by(listener, getpid(), geteuid(), getegid());
    unix_send(server, "text");
    peer_end(peer);
    return specimen_pass();
}
