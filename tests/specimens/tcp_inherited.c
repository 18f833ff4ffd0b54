/* specimen: TCP socket that listens in four processes, two of them blocked in accept | group: tcp | needs: nothing */
#include "peer.h"
#include "tcp.h"

static int listener;

static void worker(struct peer *me) {
    peer_turn(me);
    int server = tcp_accept(listener);
    files_expect(server, 9, 1, 0);
    files_write(server, 9, 2, 0);
}

int main(void) {
    listener = tcp_listen(tcp_four("127.0.0.1", 0), 5);
    struct peer *peers[3];
    for (int i = 0; i < 3; i++) peers[i] = peer_start(worker);
    for (int i = 0; i < 2; i++) {
        peer_tell(peers[i]);
        peer_await_call(peers[i]->pid, SYS_accept);
    }

    specimen_ready();
    specimen_wait();

    peer_tell(peers[2]);
    for (int i = 0; i < 3; i++) {
        int client = tcp_socket(AF_INET);
        tcp_connect(client, tcp_name(listener));
        files_write(client, 9, 1, 0);
        files_expect(client, 9, 2, 0);
    }
    for (int i = 0; i < 3; i++) peer_reap(peers[i]);
    return specimen_pass();
}
