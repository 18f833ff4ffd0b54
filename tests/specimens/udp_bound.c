/* specimen: UDP socket bound to an address and a port that the kernel chose | group: sockets | needs: nothing */
#include "sockets.h"

int main(void) {
    int one = socket_udp(socket_four("127.0.0.1", 0)), other = socket_udp(socket_four("127.0.0.2", 0));
    struct socket_address here = socket_name(one), there = socket_name(other);
    files_fails(getpeername(one, &here.any, &(socklen_t){sizeof here.room}), ENOTCONN);

    specimen_ready();
    specimen_wait();

    socket_expect(socket_name(one), here); socket_expect(socket_name(other), there);
    files_fails(getpeername(one, &here.any, &(socklen_t){sizeof here.room}), ENOTCONN);
    socket_talk(one, other), socket_talk(other, one);
    return specimen_pass();
}
