/* specimen: UDP socket with many options | group: sockets | needs: root */
#include "sockets.h"

static const struct { int level, name, value; } WANTED[] = {
    {SOL_SOCKET, SO_BROADCAST, 1}, {SOL_SOCKET, SO_REUSEADDR, 1}, {SOL_SOCKET, SO_MARK, 9},
    {SOL_SOCKET, SO_TIMESTAMPNS, 1}, {SOL_SOCKET, SO_RXQ_OVFL, 1}, {SOL_SOCKET, SO_PEEK_OFF, 5}, {IPPROTO_IP, IP_TOS, 0x10},
    {SOL_SOCKET, SO_PRIORITY, 3},
    {IPPROTO_IP, IP_TTL, 33}, {IPPROTO_IP, IP_PKTINFO, 1}, {IPPROTO_IP, IP_RECVTOS, 1}, {IPPROTO_IP, IP_RECVERR, 1},
    {IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO}, {IPPROTO_IP, IP_MINTTL, 2}, {IPPROTO_IP, IP_MULTICAST_TTL, 4},
    {IPPROTO_IP, IP_MULTICAST_LOOP, 0}, {IPPROTO_IP, IP_MULTICAST_ALL, 0}, {SOL_UDP, UDP_SEGMENT, 1200}, {SOL_UDP, UDP_GRO, 1},
    {SOL_UDP, UDP_CORK, 1},
};

int main(void) {
    int fd = socket_udp(socket_four("127.0.0.1", 0));
    for (size_t i = 0; i < sizeof WANTED / sizeof *WANTED; i++) socket_set(fd, WANTED[i].level, WANTED[i].name, WANTED[i].value);
    struct timeval seconds = {3, 0}, left;
    specimen_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &seconds, sizeof seconds), 0);
    socket_set(fd, SOL_SOCKET, SO_RCVBUF, 30000);

    specimen_ready();
    specimen_wait();

    for (size_t i = 0; i < sizeof WANTED / sizeof *WANTED; i++)
        specimen_equal(socket_get(fd, WANTED[i].level, WANTED[i].name), WANTED[i].value);
    specimen_equal(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &left, &(socklen_t){sizeof left}), 0);
    specimen_equal(left.tv_sec, 3);
    specimen_equal(socket_get(fd, SOL_SOCKET, SO_RCVBUF), 60000);
    return specimen_pass();
}
