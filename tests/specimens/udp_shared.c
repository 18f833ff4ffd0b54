/* specimen: UDP socket that several descriptors and processes share | group: sockets | needs: nothing */
#include "sockets.h"

#include "peer.h"

static int fd, sender;

static void child(struct peer *me) {
    peer_turn(me);
    socket_send(sender, "for the parent", socket_name(fd));
    socket_set(fd, SOL_SOCKET, SO_BROADCAST, 1);
}

int main(void) {
    fd = socket_udp(socket_four("127.0.0.1", 0)), sender = socket_udp(socket_four("127.0.0.1", 0));
    int same = dup(fd);
    struct peer *peer = peer_start(child);

    specimen_ready();
    specimen_wait();

    peer_end(peer);
    socket_await(same);
    socket_expect_from(same, "for the parent", socket_name(sender));
    specimen_equal(socket_get(same, SOL_SOCKET, SO_BROADCAST), 1);
    specimen_equal(files_stat(same).st_ino, files_stat(fd).st_ino);
    return specimen_pass();
}
