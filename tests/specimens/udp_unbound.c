/* specimen: UDP sockets that are not bound | group: sockets | needs: nothing */
#include "sockets.h"

int main(void) {
    int four = socket_open(AF_INET, SOCK_DGRAM, 0), six = socket_open(AF_INET6, SOCK_DGRAM, 0);

    specimen_ready();
    specimen_wait();

    socket_expect(socket_name(four), socket_four("0.0.0.0", 0)); socket_expect(socket_name(six), socket_six("::", 0));
    socket_bind(four, socket_four("127.0.0.1", 0)), socket_bind(six, socket_six("::1", 0));
    specimen_equal(socket_get(four, SOL_SOCKET, SO_PROTOCOL), IPPROTO_UDP);
    return specimen_pass();
}
