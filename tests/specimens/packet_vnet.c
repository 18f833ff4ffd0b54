/* specimen: packet socket with headers of virtio | group: sockets | needs: root */
#include "packet.h"

int main(void) {
    int fd = packet_open(SOCK_RAW, PACKET_TYPE, "lo");
    socket_set(fd, SOL_PACKET, PACKET_VNET_HDR, 1);
    socket_set(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);

    specimen_ready();
    specimen_wait();

    specimen_equal(socket_get(fd, SOL_PACKET, PACKET_VNET_HDR), 1);
    char bytes[64];
    packet_send("frame");
    socket_await(fd);
    specimen_equal(recv(fd, bytes, sizeof bytes, 0), 10 + 14 + 5);
    return specimen_pass();
}
