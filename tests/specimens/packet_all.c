/* specimen: packet socket for all frames of all devices, and one for none | group: sockets | needs: root */
#include "packet.h"

int main(void) {
    int all = socket_open(AF_PACKET, SOCK_RAW, htons(PACKET_TYPE)), none = socket_open(AF_PACKET, SOCK_RAW, 0);

    specimen_ready();
    specimen_wait();

    packet_send("frame");
    socket_await(all);
    specimen_equal(packet_name(all).sll_protocol, htons(PACKET_TYPE));
    specimen_equal(packet_name(all).sll_ifindex, 0);
    specimen_equal(packet_name(none).sll_protocol, 0);
    socket_expect_nothing(none);
    return specimen_pass();
}
