/* specimen: connected UDP socket with unread datagrams, and a sender that is gone | group: sockets | needs: root */
#include "sockets.h"

int main(void) {
    int gone = socket_udp(socket_four("127.0.0.1", 0)), sink = socket_udp(socket_four("127.0.0.1", 0));
    int peer = socket_udp(socket_four("127.0.0.1", 0));
    struct socket_address dead = socket_name(gone);
    socket_send(gone, "last words", socket_name(sink)); /* before it is connected to somebody else */
    close(gone);
    socket_connect(sink, socket_name(peer));
    socket_send(peer, "hello", socket_name(sink));

    specimen_ready();
    specimen_wait();

    socket_expect_from(sink, "last words", dead), socket_expect_from(sink, "hello", socket_name(peer));
    socket_expect_nothing(sink);
    socket_expect(socket_peer(sink), socket_name(peer));
    return specimen_pass();
}
