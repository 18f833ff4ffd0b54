/* specimen: packet sockets among which frames are distributed | group: sockets | needs: root */
#include "packet.h"

int main(void) {
    int one = packet_open(SOCK_DGRAM, PACKET_TYPE, "lo"), other = packet_open(SOCK_DGRAM, PACKET_TYPE, "lo");
    socket_set(one, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
    socket_set(other, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
    int wanted = (getpid() & 0xffff) | PACKET_FANOUT_LB << 16;
    socket_set(one, SOL_PACKET, PACKET_FANOUT, wanted);
    socket_set(other, SOL_PACKET, PACKET_FANOUT, wanted);

    specimen_ready();
    specimen_wait();

    specimen_equal(socket_get(one, SOL_PACKET, PACKET_FANOUT), wanted);
    specimen_equal(socket_get(other, SOL_PACKET, PACKET_FANOUT), wanted);
    packet_send("first");
    packet_send("second");
    socket_await(one);
    socket_await(other);
    return specimen_pass();
}
