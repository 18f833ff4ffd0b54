/* specimen: TCP connection whose reader is blocked in read | group: tcp | needs: root */
#include "peer.h"
#include "tcp.h"

static struct tcp_ends ends;

static void reader(struct peer *me) {
    close(ends.client);
    peer_turn(me);
    files_expect(ends.server, 100, 1, 0);
}

int main(void) {
    ends = tcp_pair_four();
    struct peer *peer = peer_start(reader);
    close(ends.server);
    peer_tell(peer);
    peer_await_call(peer->pid, SYS_read);

    specimen_ready();
    specimen_wait();

    files_write(ends.client, 100, 1, 0);
    peer_reap(peer);
    tcp_expect_end(ends.client);
    return specimen_pass();
}
