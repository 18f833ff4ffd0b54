/* specimen: packet socket with a ring of blocks (TPACKET_V3) | group: sockets | needs: root, refusal as TPACKET_V3 */
#include "packet_ring.h"

int main(void) {
    int fd = ring_open(SOCK_DGRAM, TPACKET_V3);
    struct tpacket_req3 request = {.tp_block_size = 8192, .tp_block_nr = 4, .tp_frame_size = RING_FRAME,
                                   .tp_frame_nr = 16, .tp_retire_blk_tov = 20};
    specimen_equal(setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof request), 0);
    struct tpacket_block_desc *blocks = memory_map_file(fd, 4 * 8192, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
    ring_bind(fd, PACKET_TYPE);

    specimen_ready();
    specimen_wait();

    packet_send("unread");
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    specimen_equal(poll(&entry, 1, 10000), 1);
    specimen_check(blocks->hdr.bh1.block_status & TP_STATUS_USER);
    return specimen_pass();
}
