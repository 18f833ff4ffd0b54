/* specimen: netlink sockets of two processes that talk to each other | group: sockets | needs: root */
#include "netlink.h"

#include "peer.h"

static int mine, other;

static void child(struct peer *me) {
    char bytes[16];
    peer_turn(me);
    specimen_equal(recv(other, bytes, sizeof bytes, 0), 5);
    specimen_equal(memcmp(bytes, "hello", 5), 0);
}

int main(void) {
    mine = netlink_open(NETLINK_USERSOCK, 0, 0);
    other = netlink_open(NETLINK_USERSOCK, 0x40000077, 0);
    struct peer *peer = peer_start(child);

    specimen_ready();
    specimen_wait();

    struct sockaddr_nl there = {.nl_family = AF_NETLINK, .nl_pid = 0x40000077};
    specimen_equal(sendto(mine, "hello", 5, 0, (struct sockaddr *)&there, sizeof there), 5);
    peer_end(peer);
    return specimen_pass();
}
