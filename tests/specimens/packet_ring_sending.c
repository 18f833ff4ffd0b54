/* specimen: packet socket with rings for both ways, with a frame that is still to be sent | group: sockets | needs: root, rings of packet sockets in BTF */
#include "packet_ring.h"

static void put(char *ring, int number, const char *text) {
    volatile struct tpacket2_hdr *frame = ring_two(ring, number);
    specimen_equal(frame->tp_status, TP_STATUS_AVAILABLE);
    memcpy((char *)frame + TPACKET2_HDRLEN - sizeof(struct sockaddr_ll), text, strlen(text));
    frame->tp_len = strlen(text);
    frame->tp_status = TP_STATUS_SEND_REQUEST;
}

int main(void) {
    int fd = ring_open(SOCK_DGRAM, TPACKET_V2), at = 0, next = 0;
    socket_set(fd, SOL_PACKET, PACKET_LOSS, 1);
    socket_set(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
    ring_set(fd, PACKET_RX_RING);
    ring_set(fd, PACKET_TX_RING);
    char *ring = memory_map_file(fd, 2 * RING_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, 0), *out = ring + RING_SIZE;
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_protocol = htons(PACKET_TYPE), .sll_halen = 6};
    to.sll_ifindex = if_nametoindex("lo");
    ring_bind(fd, PACKET_TYPE);
    for (; next < 6; next++) {
        put(out, next, "sent");
        specimen_equal(sendto(fd, NULL, 0, 0, (struct sockaddr *)&to, sizeof to), 4);
        ring_expect(fd, ring, &at, "sent");
    }
    put(out, next++, "still to be sent");

    specimen_ready();
    specimen_wait();

    ring_nothing(fd);
    specimen_equal(sendto(fd, NULL, 0, 0, (struct sockaddr *)&to, sizeof to), strlen("still to be sent"));
    ring_expect(fd, ring, &at, "still to be sent");
    for (int i = 0; i < 2 * RING_FRAMES; i++) {
        put(out, next++, "more");
        specimen_equal(sendto(fd, NULL, 0, 0, (struct sockaddr *)&to, sizeof to), 4);
        ring_expect(fd, ring, &at, "more");
    }
    specimen_equal(socket_get(fd, SOL_PACKET, PACKET_LOSS), 1);
    return specimen_pass();
}
