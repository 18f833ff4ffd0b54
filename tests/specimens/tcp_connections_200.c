/* specimen: 200 TCP connections through one listening socket, each with unread bytes | group: tcp | needs: root */
#include "tcp.h"

enum { CONNECTIONS = 200 };

int main(void) {
    int listener = tcp_listen(tcp_four("127.0.0.1", 0), 5);
    static struct tcp_ends ends[CONNECTIONS];
    for (int i = 0; i < CONNECTIONS; i++) {
        ends[i] = tcp_pair_by(listener, tcp_socket(AF_INET));
        files_write(ends[i].client, 1 + i, i, 0);
    }

    specimen_ready();
    specimen_wait();

    for (int i = 0; i < CONNECTIONS; i++) {
        files_expect(ends[i].server, 1 + i, i, 0);
        files_write(ends[i].server, 1 + i, i, 7);
    }
    for (int i = 0; i < CONNECTIONS; i++) files_expect(ends[i].client, 1 + i, i, 7);
    return specimen_pass();
}
