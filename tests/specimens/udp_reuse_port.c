/* specimen: UDP sockets that share a port | group: sockets | needs: nothing */
#include "sockets.h"

int main(void) {
    int one = socket_open(AF_INET, SOCK_DGRAM, 0), other = socket_open(AF_INET, SOCK_DGRAM, 0);
    int late = socket_open(AF_INET, SOCK_DGRAM, 0), sender = socket_udp(socket_four("127.0.0.1", 0));
    socket_set(one, SOL_SOCKET, SO_REUSEPORT, 1), socket_set(other, SOL_SOCKET, SO_REUSEPORT, 1);
    socket_set(late, SOL_SOCKET, SO_REUSEPORT, 1);
    socket_bind(one, socket_four("127.0.0.1", 0)), socket_bind(other, socket_name(one));

    specimen_ready();
    specimen_wait();

    socket_expect(socket_name(one), socket_name(other));
    socket_bind(late, socket_name(one));
    socket_send(sender, "somebody", socket_name(one));
    struct pollfd entries[] = {{one, POLLIN, 0}, {other, POLLIN, 0}, {late, POLLIN, 0}};
    specimen_equal(poll(entries, 3, 20000), 1);
    return specimen_pass();
}
