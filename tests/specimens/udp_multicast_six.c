/* specimen: UDP socket of IPv6 in a group of multicast | group: sockets | needs: nothing */
#include "sockets.h"

int main(void) {
    int fd = socket_udp(socket_six("::", 0)), sender = socket_udp(socket_six("::1", 0));
    struct ipv6_mreq group = {.ipv6mr_interface = if_nametoindex("lo")};
    struct socket_address address = socket_six("ff05::abcd", ntohs(socket_name(fd).six.sin6_port));
    group.ipv6mr_multiaddr = address.six.sin6_addr;
    specimen_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &group, sizeof group), 0);
    socket_set(sender, IPPROTO_IPV6, IPV6_MULTICAST_IF, if_nametoindex("lo"));
    socket_set(sender, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 3);

    specimen_ready();
    specimen_wait();

    specimen_equal(socket_get(sender, IPPROTO_IPV6, IPV6_MULTICAST_HOPS), 3);
    specimen_equal(socket_get(sender, IPPROTO_IPV6, IPV6_MULTICAST_IF), if_nametoindex("lo"));
    files_fails(setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &group, sizeof group), EADDRINUSE);
    specimen_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &group, sizeof group), 0);
    return specimen_pass();
}
