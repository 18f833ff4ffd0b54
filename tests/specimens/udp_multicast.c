/* specimen: UDP socket in groups of multicast, with wanted and unwanted sources | group: sockets | needs: nothing */
#include "sockets.h"

static int filter_of(int fd, const char *group, struct group_filter *filter) {
    memset(filter, 0, sizeof *filter);
    filter->gf_interface = if_nametoindex("lo"), filter->gf_numsrc = 1;
    struct socket_address address = socket_four(group, 0);
    memcpy(&filter->gf_group, &address.any, address.size);
    return getsockopt(fd, IPPROTO_IP, MCAST_MSFILTER, filter, &(socklen_t){sizeof *filter});
}

int main(void) {
    int fd = socket_udp(socket_four("0.0.0.0", 0)), sender = socket_udp(socket_four("127.0.0.1", 0));
    struct ip_mreqn any = {.imr_ifindex = if_nametoindex("lo")};
    struct ip_mreq_source only = {.imr_interface.s_addr = htonl(INADDR_LOOPBACK)};
    inet_pton(AF_INET, "239.1.2.3", &any.imr_multiaddr);
    inet_pton(AF_INET, "239.1.2.4", &only.imr_multiaddr), inet_pton(AF_INET, "127.0.0.1", &only.imr_sourceaddr);
    specimen_equal(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &any, sizeof any), 0);
    specimen_equal(setsockopt(fd, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &only, sizeof only), 0);
    inet_pton(AF_INET, "239.1.2.5", &any.imr_multiaddr), only.imr_multiaddr = any.imr_multiaddr;
    specimen_equal(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &any, sizeof any), 0);
    inet_pton(AF_INET, "127.0.0.9", &only.imr_sourceaddr);
    specimen_equal(setsockopt(fd, IPPROTO_IP, IP_BLOCK_SOURCE, &only, sizeof only), 0);
    socket_set(fd, IPPROTO_IP, IP_MULTICAST_ALL, 0);
    struct in_addr device = {htonl(INADDR_LOOPBACK)};
    specimen_equal(setsockopt(sender, IPPROTO_IP, IP_MULTICAST_IF, &device, sizeof device), 0);

    specimen_ready();
    specimen_wait();

    struct group_filter filter;
    specimen_equal(filter_of(fd, "239.1.2.3", &filter), 0);
    specimen_equal(filter.gf_fmode, MCAST_EXCLUDE); specimen_equal(filter.gf_numsrc, 0);
    specimen_equal(filter_of(fd, "239.1.2.4", &filter), 0);
    specimen_equal(filter.gf_fmode, MCAST_INCLUDE); specimen_equal(filter.gf_numsrc, 1);
    specimen_equal(((struct sockaddr_in *)filter.gf_slist)->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    specimen_equal(filter_of(fd, "239.1.2.5", &filter), 0);
    specimen_equal(filter.gf_fmode, MCAST_EXCLUDE); specimen_equal(filter.gf_numsrc, 1);
    files_fails(filter_of(fd, "239.1.2.6", &filter), EADDRNOTAVAIL);
    socket_send(sender, "to the group", socket_four("239.1.2.3", ntohs(socket_name(fd).four.sin_port)));
    socket_await(fd);
    socket_expect_from(fd, "to the group", socket_name(sender));
    return specimen_pass();
}
