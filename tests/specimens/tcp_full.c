/* specimen: TCP connection whose both queues are full, so that bytes wait to be sent | group: tcp | needs: root */
#include "tcp.h"

int main(void) {
    int listener = tcp_listen(tcp_four("127.0.0.1", 0), 1);
    int client = tcp_socket(AF_INET);
    tcp_set(client, SOL_SOCKET, SO_SNDBUF, 200000);
    tcp_set(listener, SOL_SOCKET, SO_RCVBUF, 100000);
    struct tcp_ends ends = tcp_pair_by(listener, client);
    size_t total = tcp_fill(ends.client, 3, 0);
    int unread = files_unread(ends.server), unsent = -1;
    specimen_equal(ioctl(ends.client, SIOCOUTQ, &unsent), 0);
    specimen_check(unsent > 0);

    specimen_ready();
    specimen_wait();

    int now = -1; /* what was received, but not acknowledged, is in both queues */
    specimen_check(files_unread(ends.server) >= unread);
    specimen_equal(ioctl(ends.client, SIOCOUTQ, &now), 0);
    specimen_check(0 < now && now <= unsent);
    files_expect(ends.server, total, 3, 0);
    tcp_pass_both(ends);
    return specimen_pass();
}
