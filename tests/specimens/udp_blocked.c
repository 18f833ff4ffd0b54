/* specimen: process that waits for a datagram | group: sockets | needs: nothing */
#include "sockets.h"

#include "peer.h"

static int fd, sender;

static void child(struct peer *me) {
    char bytes[16];
    sem_post(&me->done);
    specimen_equal(recv(fd, bytes, sizeof bytes, 0), 4);
    specimen_equal(memcmp(bytes, "wake", 4), 0);
}

int main(void) {
    fd = socket_udp(socket_four("127.0.0.1", 0)), sender = socket_udp(socket_four("127.0.0.1", 0));
    struct peer *peer = peer_start(child);
    peer_await_call(peer->pid, SYS_recvfrom);

    specimen_ready();
    specimen_wait();

    socket_send(sender, "wake", socket_name(fd));
    peer_reap(peer);
    return specimen_pass();
}
