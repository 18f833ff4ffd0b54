/* specimen: packet socket with options and a filter | group: sockets | needs: root */
#include "packet.h"

#include <linux/filter.h>

int main(void) {
    int fd = packet_open(SOCK_DGRAM, PACKET_TYPE, "lo");
    socket_set(fd, SOL_PACKET, PACKET_AUXDATA, 1);
    socket_set(fd, SOL_PACKET, PACKET_ORIGDEV, 1);
    socket_set(fd, SOL_PACKET, PACKET_VERSION, TPACKET_V2);
    socket_set(fd, SOL_PACKET, PACKET_RESERVE, 32);
    socket_set(fd, SOL_PACKET, PACKET_LOSS, 1);
    socket_set(fd, SOL_PACKET, PACKET_TIMESTAMP, 1 << 6);
    socket_set(fd, SOL_PACKET, PACKET_QDISC_BYPASS, 1);
    struct sock_filter code[] = {{0x30, 0, 0, 0}, {0x15, 0, 1, 'y'}, {0x06, 0, 0, 0xffff}, {0x06, 0, 0, 0}};
    struct sock_fprog program = {4, code};
    specimen_equal(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(socket_get(fd, SOL_PACKET, PACKET_AUXDATA), 1);
    specimen_equal(socket_get(fd, SOL_PACKET, PACKET_ORIGDEV), 1);
    specimen_equal(socket_get(fd, SOL_PACKET, PACKET_VERSION), TPACKET_V2);
    specimen_equal(socket_get(fd, SOL_PACKET, PACKET_RESERVE), 32);
    specimen_equal(socket_get(fd, SOL_PACKET, PACKET_LOSS), 1);
    specimen_equal(socket_get(fd, SOL_PACKET, PACKET_TIMESTAMP), 1 << 6);
    specimen_equal(socket_get(fd, SOL_PACKET, PACKET_QDISC_BYPASS), 1);
    char bytes[8];
    packet_send("no");
    packet_send("yes");
    socket_await(fd);
    specimen_equal(recv(fd, bytes, sizeof bytes, 0), 3);
    return specimen_pass();
}
