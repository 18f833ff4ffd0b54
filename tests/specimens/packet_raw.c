/* specimen: packet sockets with and without link headers, bound to a device | group: sockets | needs: root */
#include "packet.h"

int main(void) {
    int raw = packet_open(SOCK_RAW, PACKET_TYPE, "lo"), cooked = packet_open(SOCK_DGRAM, PACKET_TYPE, "lo");
    socket_set(raw, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
    socket_set(cooked, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);

    specimen_ready();
    specimen_wait();

    char bytes[64];
    packet_send("frame");
    socket_await(raw);
    specimen_equal(recv(raw, bytes, sizeof bytes, 0), 19);
    specimen_equal(memcmp(bytes + 14, "frame", 5), 0);
    specimen_equal(recv(cooked, bytes, sizeof bytes, 0), 5);
    specimen_equal(packet_name(raw).sll_ifindex, if_nametoindex("lo"));
    specimen_equal(packet_name(raw).sll_protocol, htons(PACKET_TYPE));
    socket_expect_nothing(raw);
    return specimen_pass();
}
