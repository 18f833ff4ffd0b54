/* specimen: packet socket with a ring (TPACKET_V2) in the midst of it, with frames that were not read | group: sockets | needs: root, rings of packet sockets in BTF */
#include "packet_ring.h"

int main(void) {
    int fd = ring_open(SOCK_DGRAM, TPACKET_V2), at = 0;
    socket_set(fd, SOL_PACKET, PACKET_RESERVE, 16);
    socket_set(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
    ring_set(fd, PACKET_RX_RING);
    char *ring = memory_map_file(fd, RING_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
    int protocol = PACKET_TYPE;
    char text[16];
    ring_bind(fd, protocol);
    for (int i = 0; i < 21; i++) {
        snprintf(text, sizeof text, "frame %d", i);
        packet_send(text);
        ring_expect(fd, ring, &at, text);
    }
    packet_send("unread");
    packet_send("unread too");

    specimen_ready();
    specimen_wait();

    specimen_equal(PACKET_TYPE, protocol);
    ring_expect(fd, ring, &at, "unread");
    ring_expect(fd, ring, &at, "unread too");
    ring_nothing(fd);
    for (int i = 0; i < 2 * RING_FRAMES + 3; i++) {
        snprintf(text, sizeof text, "more %d", i);
        packet_send(text);
        ring_expect(fd, ring, &at, text);
    }
    specimen_equal(socket_get(fd, SOL_PACKET, PACKET_RESERVE), 16);
    specimen_equal(socket_get(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING), 1);
    return specimen_pass();
}
