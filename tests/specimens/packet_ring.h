/* Helpers of the specimens of packet sockets with rings: versions 1 and 2 differ in where the status stands. */
#ifndef PACKET_RING_H
#define PACKET_RING_H

#include "packet.h"

#define RING_FRAMES 16
#define RING_FRAME 2048
#define RING_SIZE (RING_FRAMES * RING_FRAME)

static inline int ring_open(int type, int version) {
    int fd = socket_open(AF_PACKET, type, 0);
    socket_set(fd, SOL_PACKET, PACKET_VERSION, version);
    return fd;
}

static inline void ring_set(int fd, int which) {
    struct tpacket_req request = {.tp_block_size = 8192, .tp_block_nr = RING_SIZE / 8192, .tp_frame_size = RING_FRAME,
                                  .tp_frame_nr = RING_FRAMES};
    specimen_equal(setsockopt(fd, SOL_PACKET, which, &request, sizeof request), 0);
}

static inline void ring_bind(int fd, int protocol) {
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(protocol)};
    specimen_check((address.sll_ifindex = if_nametoindex("lo")) != 0);
    specimen_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
}

static inline volatile struct tpacket_hdr *ring_one(char *ring, int number) {
    return (void *)(ring + number % RING_FRAMES * RING_FRAME);
}

static inline volatile struct tpacket2_hdr *ring_two(char *ring, int number) {
    return (void *)(ring + number % RING_FRAMES * RING_FRAME);
}

/* The next frame of a ring of version 2 is *text*; then it is the kernel's again. */
static inline void ring_expect(int fd, char *ring, int *at, const char *text) {
    volatile struct tpacket2_hdr *frame = ring_two(ring, *at);
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    specimen_equal(poll(&entry, 1, 10000), 1);
    specimen_check(frame->tp_status & TP_STATUS_USER);
    specimen_equal(frame->tp_len, strlen(text));
    specimen_equal(memcmp((char *)frame + frame->tp_net, text, strlen(text)), 0);
    frame->tp_status = TP_STATUS_KERNEL;
    ++*at;
}

static inline void ring_nothing(int fd) {
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    specimen_equal(poll(&entry, 1, 0), 0);
}

#endif
