/* specimen: process that waits in accept | group: sockets | needs: nothing */
#include "unix.h"

static void child(struct peer *me) {
    int listener = unix_listening(SOCK_STREAM, "name", 5);
    peer_turn(me);
    int fd = unix_accepted(listener);
    char found[16];
    specimen_equal(recv(fd, found, 5, MSG_WAITALL), 5);
    unix_send(fd, "answer");
    peer_turn(me);
}

int main(void) {
    struct peer *peer = peer_start(child);
    peer_tell(peer);
    peer_await_call(peer->pid, SYS_accept);

    specimen_ready();
    specimen_wait();

    int client = unix_connected(SOCK_STREAM, "name");
    unix_send(client, "hello");
    peer_wait(peer);
    unix_expect(client, "answer");
    peer_end(peer);
    return specimen_pass();
}
