/* specimen: TCP connection whose writer is blocked in write | group: tcp | needs: root */
#include "peer.h"
#include "tcp.h"

static struct tcp_ends ends;
enum { BIG = 2000000 };

static void writer(struct peer *me) {
    close(ends.server);
    peer_turn(me);
    unsigned char *bytes = malloc(BIG);
    for (size_t i = 0; i < BIG; i++) bytes[i] = memory_byte(4, i);
    for (size_t done = 0; done < BIG;) {
        ssize_t more = write(ends.client, bytes + done, BIG - done);
        specimen_check(more > 0);
        done += more;
    }
}

int main(void) {
    int listener = tcp_listen(tcp_four("127.0.0.1", 0), 1), client = tcp_socket(AF_INET);
    tcp_set(client, SOL_SOCKET, SO_SNDBUF, 100000);
    tcp_set(listener, SOL_SOCKET, SO_RCVBUF, 100000);
    ends = tcp_pair_by(listener, client);
    struct peer *peer = peer_start(writer);
    close(ends.client);
    peer_tell(peer);
    peer_await_call(peer->pid, SYS_write);

    specimen_ready();
    specimen_wait();

    files_expect(ends.server, BIG, 4, 0);
    peer_reap(peer);
    tcp_expect_end(ends.server);
    return specimen_pass();
}
