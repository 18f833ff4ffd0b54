/* specimen: TCP connection whose buffers have chosen sizes, beside one that is tuned | group: tcp | needs: root */
#include "tcp.h"

int main(void) {
    int listener = tcp_listen(tcp_four("127.0.0.1", 0), 2);
    int client = tcp_socket(AF_INET);
    tcp_set(client, SOL_SOCKET, SO_SNDBUF, 30000);
    tcp_set(client, SOL_SOCKET, SO_RCVBUF, 40000);
    struct tcp_ends chosen = tcp_pair_by(listener, client), tuned = tcp_pair_by(listener, tcp_socket(AF_INET));
    int send = tcp_get(chosen.client, SOL_SOCKET, SO_SNDBUF), receive = tcp_get(chosen.client, SOL_SOCKET, SO_RCVBUF);
    size_t total = tcp_fill(tuned.client, 5, 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(tcp_get(chosen.client, SOL_SOCKET, SO_SNDBUF), send);
    specimen_equal(tcp_get(chosen.client, SOL_SOCKET, SO_RCVBUF), receive);
    specimen_equal(tcp_get(chosen.client, SOL_SOCKET, 72), 3); /* SO_BUF_LOCK */
    specimen_equal(tcp_get(tuned.client, SOL_SOCKET, 72), 0);
    files_expect(tuned.server, total, 5, 0);
    tcp_pass_both(tuned);
    tcp_pass_both(chosen);
    return specimen_pass();
}
