/* specimen: TCP connection whose process is blocked in connect | group: tcp | needs: root */
#include "peer.h"
#include "tcp.h"

static struct tcp_address address;

static void client(struct peer *me) {
    int fd = tcp_socket(AF_INET);
    peer_turn(me);
    tcp_connect(fd, address);
    files_write(fd, 5, 1, 0);
}

int main(void) {
    int listener = tcp_listen(tcp_four("127.0.0.1", 0), 0);
    address = tcp_name(listener);
    int first = tcp_socket(AF_INET);
    tcp_connect(first, address);
    struct peer *peer = peer_start(client);
    peer_tell(peer);
    peer_await_call(peer->pid, SYS_connect);

    specimen_ready();
    specimen_wait();

    close(tcp_accept(listener));
    files_expect(tcp_accept(listener), 5, 1, 0);
    peer_reap(peer);
    return specimen_pass();
}
