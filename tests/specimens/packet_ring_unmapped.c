/* specimen: packet socket with a ring that is not mapped, with a frame in it | group: sockets | needs: root, rings of packet sockets in BTF */
#include "packet_ring.h"

static char *map(int fd) {
    return memory_map_file(fd, RING_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
}

int main(void) {
    int fd = ring_open(SOCK_DGRAM, TPACKET_V2), at = 0;
    socket_set(fd, SOL_PACKET, PACKET_COPY_THRESH, 1);
    ring_set(fd, PACKET_RX_RING);
    char *ring = map(fd);
    ring_bind(fd, PACKET_TYPE);
    for (int i = 0; i < RING_FRAMES + 7; i++) {
        packet_send("seen");
        ring_expect(fd, ring, &at, "seen");
    }
    packet_send("unread");
    specimen_equal(munmap(ring, RING_SIZE), 0);
    int type = PACKET_TYPE;

    specimen_ready();
    specimen_wait();

    specimen_equal(PACKET_TYPE, type);
    ring = map(fd);
    ring_expect(fd, ring, &at, "unread");
    ring_nothing(fd);
    for (int i = 0; i < RING_FRAMES + 3; i++) {
        packet_send("again");
        ring_expect(fd, ring, &at, "again");
    }
    return specimen_pass();
}
