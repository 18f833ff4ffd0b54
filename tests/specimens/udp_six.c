/* specimen: UDP sockets of IPv6, bound and connected | group: sockets | needs: nothing */
#include "sockets.h"

int main(void) {
    int one = socket_udp(socket_six("::1", 0)), other = socket_udp(socket_six("::1", 0));
    struct socket_address here = socket_name(one), there = socket_name(other);
    socket_connect(other, here);

    specimen_ready();
    specimen_wait();

    socket_expect(socket_name(one), here); socket_expect(socket_name(other), there);
    socket_expect(socket_peer(other), here);
    socket_talk(one, other), socket_talk(other, one);
    return specimen_pass();
}
