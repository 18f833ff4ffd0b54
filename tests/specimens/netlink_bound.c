/* specimen: netlink socket with the port that the kernel chose | group: sockets | needs: nothing */
#include "netlink.h"

int main(void) {
    int fd = netlink_open(NETLINK_ROUTE, 0, 0);
    unsigned port = netlink_name(fd).nl_pid;
    netlink_ask(fd);

    specimen_ready();
    specimen_wait();

    specimen_equal(netlink_name(fd).nl_pid, port);
    specimen_equal(socket_get(fd, SOL_SOCKET, SO_PROTOCOL), NETLINK_ROUTE);
    netlink_ask(fd);
    return specimen_pass();
}
