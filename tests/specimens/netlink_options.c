/* specimen: netlink socket with options and a default destination | group: sockets | needs: nothing */
#include "netlink.h"

int main(void) {
    int fd = netlink_open(NETLINK_ROUTE, 0, 0);
    socket_set(fd, SOL_NETLINK, NETLINK_EXT_ACK, 1);
    socket_set(fd, SOL_NETLINK, NETLINK_CAP_ACK, 1);
    socket_set(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, 1);
    socket_set(fd, SOL_NETLINK, 12 /* NETLINK_GET_STRICT_CHK */, 1);
    socket_set(fd, SOL_SOCKET, SO_RCVBUF, 65536);
    socket_set(fd, SOL_SOCKET, SO_PASSCRED, 1);
    struct sockaddr_nl peer = {.nl_family = AF_NETLINK, .nl_pid = 0x40005678}, found;
    specimen_equal(connect(fd, (struct sockaddr *)&peer, sizeof peer), 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(socket_get(fd, SOL_NETLINK, NETLINK_EXT_ACK), 1);
    specimen_equal(socket_get(fd, SOL_NETLINK, NETLINK_CAP_ACK), 1);
    specimen_equal(socket_get(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS), 1);
    specimen_equal(socket_get(fd, SOL_NETLINK, 12), 1);
    specimen_equal(socket_get(fd, SOL_SOCKET, SO_RCVBUF), 131072);
    specimen_equal(socket_get(fd, SOL_SOCKET, SO_PASSCRED), 1);
    specimen_equal(getpeername(fd, (struct sockaddr *)&found, &(socklen_t){sizeof found}), 0);
    specimen_equal(found.nl_pid, 0x40005678);
    return specimen_pass();
}
