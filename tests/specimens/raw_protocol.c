/* specimen: raw sockets of a protocol, with headers of their own | group: sockets | needs: root */
#include "sockets.h"

int main(void) {
    int heads = socket_open(AF_INET, SOCK_RAW, IPPROTO_RAW), in = socket_open(AF_INET, SOCK_RAW, 253);
    int included = socket_open(AF_INET, SOCK_RAW, 253), six = socket_open(AF_INET6, SOCK_RAW, 253);
    socket_set(included, IPPROTO_IP, IP_HDRINCL, 1), socket_set(six, IPPROTO_IPV6, IPV6_CHECKSUM, 2);
    socket_bind(six, socket_six("::1", 0));

    specimen_ready();
    specimen_wait();

    specimen_equal(socket_get(heads, IPPROTO_IP, IP_HDRINCL), 1); specimen_equal(socket_get(in, IPPROTO_IP, IP_HDRINCL), 0);
    specimen_equal(socket_get(included, IPPROTO_IP, IP_HDRINCL), 1);
    specimen_equal(socket_get(six, IPPROTO_IPV6, IPV6_CHECKSUM), 2);
    specimen_equal(socket_get(in, SOL_SOCKET, SO_PROTOCOL), 253); specimen_equal(socket_get(heads, SOL_SOCKET, SO_PROTOCOL), 255);
    struct socket_address name = socket_name(six);
    specimen_check(IN6_IS_ADDR_LOOPBACK(&name.six.sin6_addr));
    unsigned char packet[24] = {0x45, 0, 0, 0, 0, 0, 0, 0, 9, 253, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1, 'd', 'a', 't', 'a'};
    struct socket_address self = socket_four("127.0.0.1", 0);
    specimen_equal(sendto(heads, packet, sizeof packet, 0, &self.any, self.size), sizeof packet);
    socket_await(in);
    unsigned char got[64];
    specimen_equal(recv(in, got, sizeof got, 0), 24); specimen_equal(memcmp(got + 20, "data", 4), 0);
    specimen_equal(got[8], 9);
    return specimen_pass();
}
