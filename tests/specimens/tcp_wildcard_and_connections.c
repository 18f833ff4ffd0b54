/* specimen: TCP socket that listens at all addresses, with ten accepted connections | group: tcp | needs: root */
#include "tcp.h"

enum { CONNECTIONS = 10 };

int main(void) {
    int listener = tcp_listen(tcp_four("0.0.0.0", 0), 20);
    int port = tcp_port(tcp_name(listener));
    struct tcp_ends ends[CONNECTIONS];
    for (int i = 0; i < CONNECTIONS; i++) {
        ends[i].client = tcp_socket(AF_INET);
        tcp_connect(ends[i].client, tcp_four("127.0.0.1", port));
        ends[i].server = tcp_accept(listener);
        files_write(ends[i].client, 100 * i + 1, i, 0);
    }

    specimen_ready();
    specimen_wait();

    for (int i = 0; i < CONNECTIONS; i++) {
        files_expect(ends[i].server, 100 * i + 1, i, 0);
        tcp_pass_both(ends[i]);
    }
    int client = tcp_socket(AF_INET);
    tcp_connect(client, tcp_four("127.0.0.1", port));
    tcp_pass_both((struct tcp_ends){client, tcp_accept(listener)});
    return specimen_pass();
}
