/* specimen: UDP socket bound to a network device, with unread datagrams | group: sockets | needs: root */
#include "sockets.h"

int main(void) {
    int fd = socket_udp(socket_four("127.0.0.1", 0)), sender = socket_udp(socket_four("127.0.0.1", 0));
    specimen_equal(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3), 0);
    socket_send(sender, "before", socket_name(fd));

    specimen_ready();
    specimen_wait();

    char name[IF_NAMESIZE];
    specimen_equal(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &(socklen_t){sizeof name}), 0);
    specimen_equal_text(name, "lo");
    socket_expect_from(fd, "before", socket_name(sender));
    socket_talk(sender, fd);
    return specimen_pass();
}
