/* specimen: netlink socket that listens to groups, by mask and by number | group: sockets | needs: root */
#include "netlink.h"

int main(void) {
    int fd = netlink_open(NETLINK_ROUTE, 0, RTMGRP_LINK | RTMGRP_IPV4_ROUTE);
    socket_set(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, RTNLGRP_NSID);
    unsigned before[8] = {0}, after[8] = {0};
    specimen_equal(getsockopt(fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, before, &(socklen_t){sizeof before}), 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(getsockopt(fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, after, &(socklen_t){sizeof after}), 0);
    specimen_equal(memcmp(before, after, sizeof before), 0);
    specimen_equal(after[0] & RTMGRP_LINK, RTMGRP_LINK);
    specimen_equal(netlink_name(fd).nl_groups, RTMGRP_LINK | RTMGRP_IPV4_ROUTE | 1u << (RTNLGRP_NSID - 1));
    return specimen_pass();
}
