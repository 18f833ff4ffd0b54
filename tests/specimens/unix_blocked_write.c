/* specimen: process that waits for room in a full socket | group: sockets | needs: nothing */
#include "unix.h"

static void child(struct peer *me) {
    static char sent[1 << 22];
    int *pair = me->data;
    close(pair[0]);
    for (int i = 0; i < (1 << 22); i++) sent[i] = (char)(i * 31 + i / 999);
    peer_turn(me);
    /* A call that is stopped when it has sent a part returns that, as it does after SIGSTOP and SIGCONT. */
    for (size_t done = 0; done < sizeof sent;) {
        ssize_t part = send(pair[1], sent + done, sizeof sent - done, 0);
        specimen_check(part > 0);
        done += part;
    }
    peer_turn(me);
}

int main(void) {
    int pair[2];
    unix_pair(SOCK_STREAM, pair);
    struct peer *peer = peer_start_with(child, pair);
    peer_tell(peer);
    peer_await_call(peer->pid, SYS_sendto);
    close(pair[1]);

    specimen_ready();
    specimen_wait();

    static char found[1 << 22];
    specimen_equal(recv(pair[0], found, sizeof found, MSG_WAITALL), sizeof found);
    for (int i = 0; i < (1 << 22); i++) specimen_equal(found[i], (char)(i * 31 + i / 999));
    peer_wait(peer);
    peer_end(peer);
    return specimen_pass();
}
