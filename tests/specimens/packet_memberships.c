/* specimen: packet socket that made its device promiscuous, and joined a group | group: sockets | needs: root */
#include "packet.h"

/* Whether the device receives the group's frames. */
static int joined(void) {
    char text[4096], address[16];
    snprintf(address, sizeof address, "01005e7a%04x", (unsigned)getpid() & 0xffff);
    memory_read_proc("/proc/net/dev_mcast", text, sizeof text);
    return strstr(text, address) != NULL;
}

int main(void) {
    int fd = packet_open(SOCK_RAW, PACKET_TYPE, "lo");
    struct packet_mreq all = {.mr_ifindex = if_nametoindex("lo"), .mr_type = PACKET_MR_PROMISC};
    struct packet_mreq group = {.mr_ifindex = all.mr_ifindex, .mr_type = PACKET_MR_MULTICAST, .mr_alen = 6,
                                .mr_address = {0x01, 0, 0x5e, 0x7a, getpid() >> 8, getpid()}};
    specimen_equal(setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof all), 0);
    specimen_equal(setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &group, sizeof group), 0);
    specimen_check(joined());

    specimen_ready();
    specimen_wait();

    specimen_check(joined());
    specimen_equal(setsockopt(fd, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &all, sizeof all), 0);
    specimen_equal(setsockopt(fd, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &group, sizeof group), 0);
    specimen_check(!joined());
    return specimen_pass();
}
