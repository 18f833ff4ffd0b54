/* specimen: UDP socket of IPv6 that speaks IPv4 | group: sockets | needs: nothing */
#include "sockets.h"

int main(void) {
    int both = socket_udp(socket_six("::", 0)), mapped = socket_udp(socket_six("::ffff:127.0.0.1", 0));
    int four = socket_udp(socket_four("127.0.0.1", 0)), only = socket_open(AF_INET6, SOCK_DGRAM, 0);
    socket_set(only, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    int port = ntohs(socket_name(both).six.sin6_port), of_four = ntohs(socket_name(four).four.sin_port);
    socket_bind(only, socket_six("::", of_four)); /* the same port: not taken for IPv6 */
    socket_connect(mapped, socket_six("::ffff:127.0.0.1", of_four));
    struct socket_address name = socket_name(mapped);

    specimen_ready();
    specimen_wait();

    socket_expect(socket_name(mapped), name);
    socket_expect(socket_peer(mapped), socket_six("::ffff:127.0.0.1", of_four));
    socket_send(four, "mapped", socket_four("127.0.0.1", port));
    socket_await(both);
    socket_expect_from(both, "mapped", socket_six("::ffff:127.0.0.1", of_four));
    specimen_equal(socket_get(only, IPPROTO_IPV6, IPV6_V6ONLY), 1);
    specimen_equal(socket_name(only).six.sin6_port, socket_name(four).four.sin_port);
    return specimen_pass();
}
