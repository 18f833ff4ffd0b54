/* specimen: UDP sockets that share a port, with a program that divides among them (SO_ATTACH_REUSEPORT_CBPF) | group: sockets | needs: root, bpf */
#include "sockets.h"

#include <linux/filter.h>

enum { SOCKETS = 4 };

static void expect_at(int fd, char number, struct socket_address port) {
    int sender = socket_udp(socket_four("127.0.0.1", 0));
    const char text[] = {number, 0};
    socket_send(sender, text, port);
    socket_expect_from(fd, text, socket_name(sender));
    close(sender);
}

int main(void) {
    /* Number n of the group gets what begins with the byte n + 1. */
    struct sock_filter code[] = {{BPF_LD | BPF_B | BPF_ABS, 0, 0, 0}, {BPF_ALU | BPF_SUB, 0, 0, 1}, {BPF_RET | BPF_A, 0, 0, 0}};
    struct sock_fprog program = {3, code};
    static const int order[SOCKETS] = {2, 0, 3, 1};
    int fds[SOCKETS];
    for (int i = 0; i < SOCKETS; i++) {
        fds[i] = socket_open(AF_INET, SOCK_DGRAM, 0);
        socket_set(fds[i], SOL_SOCKET, SO_REUSEPORT, 1);
    }
    struct socket_address port = socket_four("127.0.0.1", 0);
    for (int i = 0; i < SOCKETS; i++) socket_bind(fds[order[i]], port), port = socket_name(fds[order[0]]);
    specimen_equal(setsockopt(fds[0], SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program), 0);
    close(fds[2]); /* the last takes the place of the first: 1, 0, 3 */

    specimen_ready();
    specimen_wait();

    expect_at(fds[0], 2, port), expect_at(fds[3], 3, port), expect_at(fds[1], 1, port);
    int late = socket_open(AF_INET, SOCK_DGRAM, 0);
    socket_set(late, SOL_SOCKET, SO_REUSEPORT, 1);
    socket_bind(late, port);
    expect_at(late, 4, port), expect_at(fds[1], 1, port);
    return specimen_pass();
}
