/* specimen: netlink sockets with ports of their own, and one without | group: sockets | needs: nothing */
#include "netlink.h"

int main(void) {
    int chosen = netlink_open(NETLINK_ROUTE, 0x40001234, 0), other = netlink_open(NETLINK_GENERIC, 0x40001234, 0);
    int unbound = socket_open(AF_NETLINK, SOCK_DGRAM, NETLINK_ROUTE);

    specimen_ready();
    specimen_wait();

    specimen_equal(netlink_name(chosen).nl_pid, 0x40001234);
    specimen_equal(netlink_name(other).nl_pid, 0x40001234);
    specimen_equal(netlink_name(unbound).nl_pid, 0);
    specimen_equal(socket_get(other, SOL_SOCKET, SO_PROTOCOL), NETLINK_GENERIC);
    specimen_equal(socket_get(unbound, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
    netlink_ask(chosen);
    netlink_ask(unbound);
    return specimen_pass();
}
