/* specimen: UDP sockets of IPv6 with unread datagrams, also of IPv4 | group: sockets | needs: root */
#include "sockets.h"

int main(void) {
    int six = socket_udp(socket_six("::1", 0)), sink = socket_udp(socket_six("::", 0));
    int four = socket_udp(socket_four("127.0.0.1", 0));
    int port = ntohs(socket_name(sink).six.sin6_port);
    socket_set(sink, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    socket_set(six, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 7);
    socket_set(sink, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
    socket_send(six, "six", socket_six("::1", port)), socket_send(four, "four", socket_four("127.0.0.1", port));
    socket_await(sink);

    specimen_ready();
    specimen_wait();

    char bytes[10], control[256];
    struct iovec place = {bytes, sizeof bytes};
    struct msghdr message = {.msg_iov = &place, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    specimen_equal(recvmsg(sink, &message, MSG_DONTWAIT), 3);
    int seen = 0;
    for (struct cmsghdr *next = CMSG_FIRSTHDR(&message); next; next = CMSG_NXTHDR(&message, next)) {
        if (next->cmsg_type == IPV6_HOPLIMIT) {
            specimen_equal(*(int *)CMSG_DATA(next), 7);
            seen++;
        }
        if (next->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo *info = (struct in6_pktinfo *)CMSG_DATA(next);
            specimen_check(IN6_IS_ADDR_LOOPBACK(&info->ipi6_addr)); seen++;
        }
    }
    specimen_equal(seen, 2);
    socket_expect_from(sink, "four", socket_six("::ffff:127.0.0.1", ntohs(socket_name(four).four.sin_port)));
    return specimen_pass();
}
