/* specimen: UDP-Lite sockets with checksum coverage | group: sockets | needs: nothing */
#include "sockets.h"

int main(void) {
    int one = socket_open(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE), other = socket_open(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE);
    socket_bind(one, socket_four("127.0.0.1", 0)), socket_bind(other, socket_four("127.0.0.1", 0));
    socket_set(one, IPPROTO_UDPLITE, 10, 20), socket_set(other, IPPROTO_UDPLITE, 11, 16);

    specimen_ready();
    specimen_wait();

    specimen_equal(socket_get(one, IPPROTO_UDPLITE, 10), 20); specimen_equal(socket_get(other, IPPROTO_UDPLITE, 11), 16);
    specimen_equal(socket_get(one, SOL_SOCKET, SO_PROTOCOL), IPPROTO_UDPLITE);
    socket_talk(one, other);
    return specimen_pass();
}
