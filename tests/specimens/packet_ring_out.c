/* specimen: packet socket with nothing but a ring to send from, of small frames with headers of virtio, and not bound | group: sockets | needs: root, rings of packet sockets in BTF */
#include "packet_ring.h"

#define HEADER 10 /* struct virtio_net_hdr */
#define FRAMES 128
#define FRAME 64

static void put(char *ring, int number, char letter) {
    volatile struct tpacket_hdr *frame = (void *)(ring + number % FRAMES * FRAME);
    struct ethhdr header = {.h_proto = htons(PACKET_TYPE)};
    char *data = (char *)frame + TPACKET_HDRLEN - sizeof(struct sockaddr_ll);
    specimen_equal(frame->tp_status, TP_STATUS_AVAILABLE);
    memset(data, 0, HEADER);
    memcpy(data + HEADER, &header, sizeof header);
    data[HEADER + sizeof header] = letter;
    frame->tp_len = HEADER + sizeof header + 1;
    frame->tp_status = TP_STATUS_SEND_REQUEST;
}

int main(void) {
    int fd = ring_open(SOCK_RAW, TPACKET_V1), next = 0;
    int back = packet_open(SOCK_DGRAM, PACKET_TYPE, "lo");
    socket_set(fd, SOL_PACKET, PACKET_VNET_HDR, 1);
    struct tpacket_req request = {.tp_block_size = 4096, .tp_block_nr = FRAMES * FRAME / 4096, .tp_frame_size = FRAME,
                                  .tp_frame_nr = FRAMES};
    specimen_equal(setsockopt(fd, SOL_PACKET, PACKET_TX_RING, &request, sizeof request), 0);
    char *ring = memory_map_file(fd, FRAMES * FRAME, PROT_READ | PROT_WRITE, MAP_SHARED, 0), letter;
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_protocol = htons(PACKET_TYPE)};
    to.sll_ifindex = if_nametoindex("lo");
    for (; next < 70; next++) {
        put(ring, next, 'a');
        specimen_equal(sendto(fd, NULL, 0, 0, (struct sockaddr *)&to, sizeof to), sizeof(struct ethhdr) + 1);
        specimen_equal(recv(back, &letter, 1, 0), 1);
    }
    put(ring, next++, 'b');
    put(ring, next++, 'c');
    int type = PACKET_TYPE;

    specimen_ready();
    specimen_wait();

    specimen_equal(PACKET_TYPE, type);
    specimen_equal(packet_name(fd).sll_protocol, 0);
    specimen_check(sendto(fd, NULL, 0, 0, (struct sockaddr *)&to, sizeof to) > 0);
    for (const char *expected = "bc"; *expected; expected++) {
        specimen_equal(recv(back, &letter, 1, 0), 1);
        specimen_equal(letter, *expected);
    }
    for (int i = 0; i < 2 * FRAMES; i++) {
        put(ring, next++, 'd');
        specimen_check(sendto(fd, NULL, 0, 0, (struct sockaddr *)&to, sizeof to) > 0);
        specimen_equal(recv(back, &letter, 1, 0), 1);
        specimen_equal(letter, 'd');
    }
    return specimen_pass();
}
