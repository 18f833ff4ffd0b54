/* specimen: UDP socket with buffers beyond the limit for others | group: sockets | needs: root */
#include "sockets.h"

int main(void) {
    int fd = socket_udp(socket_four("127.0.0.1", 0)), usual = socket_udp(socket_four("127.0.0.1", 0));
    int before = socket_get(usual, SOL_SOCKET, SO_RCVBUF), wanted = 50 * 1000 * 1000;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &wanted, sizeof wanted)) specimen_skip("SO_RCVBUFFORCE: %s", strerror(errno));
    socket_set(fd, SOL_SOCKET, SO_SNDBUFFORCE, wanted);

    specimen_ready();
    specimen_wait();

    specimen_equal(socket_get(fd, SOL_SOCKET, SO_RCVBUF), 2 * wanted);
    specimen_equal(socket_get(fd, SOL_SOCKET, SO_SNDBUF), 2 * wanted);
    specimen_equal(socket_get(usual, SOL_SOCKET, SO_RCVBUF), before);
    specimen_equal(socket_get(fd, SOL_SOCKET, 72 /* SO_BUF_LOCK */), 3);
    specimen_equal(socket_get(usual, SOL_SOCKET, 72), 0);
    return specimen_pass();
}
