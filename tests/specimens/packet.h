/* Helpers of the packet specimens: sockets on the loopback device, and frames that pass there. */
#ifndef PACKET_H
#define PACKET_H

#include "sockets.h"

#include <linux/if_packet.h>
#include <net/ethernet.h>

/* An EtherType for nobody else: tests that run at the same time see the same frames. */
#define PACKET_TYPE (0x9000 + getpid() % 0x2000)

static inline int packet_open(int type, int protocol, const char *device) {
    int fd = socket_open(AF_PACKET, type, 0);
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(protocol)};
    if (device) specimen_check((address.sll_ifindex = if_nametoindex(device)) != 0);
    specimen_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static inline struct sockaddr_ll packet_name(int fd) {
    struct sockaddr_ll address;
    memset(&address, 0, sizeof address);
    specimen_equal(getsockname(fd, (struct sockaddr *)&address, &(socklen_t){sizeof address}), 0);
    return address;
}

/* Send *text* as a frame to lo, from a socket that receives nothing. */
static inline void packet_send(const char *text) {
    int fd = socket_open(AF_PACKET, SOCK_DGRAM, 0);
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_protocol = htons(PACKET_TYPE), .sll_halen = 6};
    to.sll_ifindex = if_nametoindex("lo");
    specimen_equal(sendto(fd, text, strlen(text), 0, (struct sockaddr *)&to, sizeof to), strlen(text));
    close(fd);
}

#endif
