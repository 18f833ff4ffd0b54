/* specimen: UDP socket with a locked filter, and datagrams that came before it | group: sockets | needs: root */
#include "sockets.h"

#include <linux/filter.h>

int main(void) {
    int fd = socket_udp(socket_four("127.0.0.1", 0)), sender = socket_udp(socket_four("127.0.0.1", 0));
    socket_send(sender, "unfiltered", socket_name(fd));
    /* Only datagrams that begin with a: behind the header of UDP. */
    struct sock_filter code[] = {{0x30, 0, 0, 8}, {0x15, 0, 1, 'a'}, {0x06, 0, 0, 0xffff}, {0x06, 0, 0, 0}}, found[8];
    struct sock_fprog program = {4, code};
    specimen_equal(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), 0);
    socket_set(fd, SOL_SOCKET, SO_LOCK_FILTER, 1);

    specimen_ready();
    specimen_wait();

    socket_expect_from(fd, "unfiltered", socket_name(sender));
    socket_send(sender, "b", socket_name(fd)), socket_send(sender, "a", socket_name(fd));
    socket_await(fd);
    socket_expect_from(fd, "a", socket_name(sender)), socket_expect_nothing(fd);
    socklen_t count = 8;
    specimen_equal(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, found, &count), 0);
    specimen_equal(count, 4); specimen_equal(memcmp(found, code, sizeof code), 0);
    files_fails(setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, 4), EPERM);
    return specimen_pass();
}
