/* specimen: TCP connection between two processes, each with one end | group: tcp | needs: root */
#include "peer.h"
#include "tcp.h"

static int listener;

static void child(struct peer *me) {
    int client = tcp_socket(AF_INET);
    tcp_connect(client, tcp_name(listener));
    close(listener);
    files_write(client, 1234, 1, 0);
    peer_turn(me);
    files_expect(client, 4321, 2, 0);
    files_write(client, 10, 3, 0);
    tcp_expect_end(client);
}

int main(void) {
    listener = tcp_listen(tcp_four("127.0.0.1", 0), 1);
    struct peer *peer = peer_start(child);
    int server = tcp_accept(listener);
    close(listener);

    specimen_ready();
    specimen_wait();

    peer_tell(peer);
    files_expect(server, 1234, 1, 0);
    files_write(server, 4321, 2, 0);
    files_expect(server, 10, 3, 0);
    close(server);
    peer_reap(peer);
    return specimen_pass();
}
