/* specimen: connected UDP sockets, which hear nobody else | group: sockets | needs: nothing */
#include "sockets.h"

int main(void) {
    int one = socket_udp(socket_four("127.0.0.1", 0)), other = socket_open(AF_INET, SOCK_DGRAM, 0);
    int stranger = socket_udp(socket_four("127.0.0.1", 0));
    socket_connect(other, socket_name(one)), socket_connect(one, socket_name(other));
    struct socket_address name = socket_name(other);

    specimen_ready();
    specimen_wait();

    socket_expect(socket_name(other), name);
    socket_expect(socket_peer(one), name); socket_expect(socket_peer(other), socket_name(one));
    files_fails(sendto(stranger, "no", 2, 0, NULL, 0), EDESTADDRREQ);
    socket_send(stranger, "nobody hears this", name);
    specimen_equal(send(one, "hello", 5, 0), 5);
    socket_await(other);
    socket_expect_from(other, "hello", socket_name(one)), socket_expect_nothing(other);
    specimen_equal(send(other, "back", 4, 0), 4);
    socket_await(one);
    socket_expect_from(one, "back", name);
    return specimen_pass();
}
