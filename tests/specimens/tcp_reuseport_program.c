/* specimen: TCP sockets that listen at one port, with a program that divides among them, one that waits for others, and a connection | group: tcp | needs: root, bpf */
#include "tcp.h"

#include <linux/filter.h>

enum { SOCKETS = 3 };

static void divide(int fd, unsigned number) {
    struct sock_filter code[] = {{BPF_RET | BPF_K, 0, 0, number}};
    struct sock_fprog program = {1, code};
    specimen_equal(setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program), 0);
}

static int listening(int fd, struct tcp_address address) {
    tcp_bind(fd, address);
    specimen_equal(listen(fd, 10), 0);
    return fd;
}

static int sharing(void) {
    int fd = tcp_socket(AF_INET);
    tcp_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    return fd;
}

static void expect_all_at(int fd, struct tcp_address address) {
    for (int i = 0; i < 20; i++) {
        int client = tcp_socket(AF_INET);
        tcp_connect(client, address);
        close(client), close(tcp_accept(fd)); /* would wait for ever */
    }
}

int main(void) {
    int fds[SOCKETS] = {sharing(), sharing(), sharing()}, bound = sharing();
    struct tcp_address address = tcp_name(listening(fds[2], tcp_four("127.0.0.1", 0)));
    listening(fds[0], address), listening(fds[1], address);
    divide(fds[2], 1);
    struct tcp_ends ends = tcp_pair_by(fds[0], tcp_socket(AF_INET));
    tcp_bind(bound, tcp_four("127.0.0.1", 0));
    divide(bound, 1);

    specimen_ready();
    specimen_wait();

    expect_all_at(fds[0], address);
    specimen_equal(listen(bound, 10), 0);
    int second = listening(sharing(), tcp_name(bound));
    expect_all_at(second, tcp_name(bound));
    tcp_pass_both(ends);
    return specimen_pass();
}
