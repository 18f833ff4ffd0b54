/* specimen: raw sockets of ICMP with filters, of IPv4 and IPv6 | group: sockets | needs: root */
#include "sockets.h"

#include <netinet/icmp6.h>

int main(void) {
    int four = socket_open(AF_INET, SOCK_RAW, IPPROTO_ICMP), six = socket_open(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
    struct icmp6_filter wanted, found;
    ICMP6_FILTER_SETBLOCKALL(&wanted);
    ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &wanted);
    specimen_equal(setsockopt(six, IPPROTO_ICMPV6, ICMP6_FILTER, &wanted, sizeof wanted), 0);
    socket_set(four, SOL_RAW, 1, ~1);
    socket_bind(four, socket_four("127.0.0.1", 0)), socket_connect(four, socket_four("127.0.0.2", 0));

    specimen_ready();
    specimen_wait();

    specimen_equal(getsockopt(six, IPPROTO_ICMPV6, ICMP6_FILTER, &found, &(socklen_t){sizeof found}), 0);
    specimen_equal(memcmp(&found, &wanted, sizeof wanted), 0);
    specimen_equal(socket_get(four, SOL_RAW, 1), ~1);
    specimen_equal(socket_name(four).four.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    specimen_equal(socket_get(four, SOL_SOCKET, SO_PROTOCOL), IPPROTO_ICMP);
    /* An echo request needs no address, since the socket is connected, and the answer comes from there. */
    unsigned char request[8] = {8, 0, 0xf7, 0xff - 0x05, 0, 5, 0, 0}, answer[64];
    specimen_equal(send(four, request, sizeof request, 0), sizeof request);
    socket_await(four);
    specimen_equal(recv(four, answer, sizeof answer, 0), 28);
    specimen_equal(answer[15], 2); specimen_equal(answer[20], 0); specimen_equal(answer[25], 5);
    return specimen_pass();
}
