/* specimen: packet socket with a ring (TPACKET_V1) that is full, shared with a child | group: sockets | needs: root, rings of packet sockets in BTF */
#include "packet_ring.h"

#include <sys/wait.h>

int main(void) {
    int fd = ring_open(SOCK_RAW, TPACKET_V1);
    socket_set(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
    ring_set(fd, PACKET_RX_RING);
    char *ring = memory_map_file(fd, RING_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
    ring_bind(fd, PACKET_TYPE);
    for (int i = 0; i < 5; i++) packet_send("seen");
    for (int i = 0; i < 5; i++) ring_one(ring, i)->tp_status = TP_STATUS_KERNEL;
    for (int i = 0; i < RING_FRAMES + 2; i++) packet_send(i % 2 ? "odd" : "even");
    int type = PACKET_TYPE, down[2];
    specimen_equal(pipe(down), 0);
    pid_t child = fork();
    if (!child) {
        char byte;
        close(down[1]);
        while (read(down[0], &byte, 1) != 0) continue;
        for (int i = 5; i < 5 + RING_FRAMES; i++) {
            volatile struct tpacket_hdr *frame = ring_one(ring, i);
            if (!(frame->tp_status & TP_STATUS_USER)) _exit(1);
            if (memcmp((char *)frame + frame->tp_net, i % 2 ? "even" : "odd", 3)) _exit(2);
            frame->tp_status = TP_STATUS_KERNEL;
        }
        _exit(0);
    }
    close(down[0]);

    specimen_ready();
    specimen_wait();

    specimen_equal(PACKET_TYPE, type);
    close(down[1]);
    int status;
    specimen_equal(waitpid(child, &status, 0), child);
    specimen_equal(status, 0);
    packet_send("room again");
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    specimen_equal(poll(&entry, 1, 10000), 1);
    specimen_check(ring_one(ring, 5)->tp_status & TP_STATUS_USER);
    specimen_equal(ring_one(ring, 6)->tp_status, TP_STATUS_KERNEL);
    return specimen_pass();
}
