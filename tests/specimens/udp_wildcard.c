/* specimen: UDP socket bound to a port of all addresses | group: sockets | needs: nothing */
#include "sockets.h"

int main(void) {
    int all = socket_udp(socket_four("0.0.0.0", 0)), one = socket_udp(socket_four("127.0.0.1", 0));
    struct socket_address name = socket_name(all);

    specimen_ready();
    specimen_wait();

    socket_expect(socket_name(all), name);
    socket_send(one, "first", socket_four("127.0.0.1", ntohs(name.four.sin_port)));
    socket_send(one, "second", socket_four("127.9.9.9", ntohs(name.four.sin_port)));
    socket_await(all);
    socket_expect_from(all, "first", socket_name(one)), socket_expect_from(all, "second", socket_name(one));
    return specimen_pass();
}
