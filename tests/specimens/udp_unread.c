/* specimen: UDP socket with unread datagrams of several senders | group: sockets | needs: root */
#include "sockets.h"

int main(void) {
    int one = socket_udp(socket_four("127.0.0.1", 0)), other = socket_udp(socket_four("127.0.0.3", 0));
    int sink = socket_udp(socket_four("127.0.0.1", 0));
    static char large[40001];
    memset(large, 'x', 40000);
    socket_send(one, "first", socket_name(sink)), socket_send(other, "second", socket_name(sink));
    socket_send(one, large, socket_name(sink));
    for (int i = 0; i < 20; i++) socket_send(other, "again", socket_name(sink));
    socket_await(sink);

    specimen_ready();
    specimen_wait();

    socket_expect_from(sink, "first", socket_name(one)), socket_expect_from(sink, "second", socket_name(other));
    socket_expect_from(sink, large, socket_name(one));
    for (int i = 0; i < 20; i++) socket_expect_from(sink, "again", socket_name(other));
    socket_expect_nothing(sink);
    specimen_equal(socket_get(sink, SOL_SOCKET, SO_PEEK_OFF), -1);
    specimen_equal(socket_get(sink, IPPROTO_IP, IP_RECVTTL), 0);
    socket_talk(one, sink);
    return specimen_pass();
}
