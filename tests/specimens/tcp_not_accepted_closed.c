/* specimen: TCP connection that nobody has accepted yet, and that the client has shut | group: tcp | needs: root */
#include "tcp.h"

int main(void) {
    int listener = tcp_listen(tcp_four("127.0.0.1", 0), 5);
    int client = tcp_socket(AF_INET);
    tcp_connect(client, tcp_name(listener));
    specimen_equal(shutdown(client, SHUT_WR), 0);
    tcp_await_state(client, TCP_STATE_FIN_WAIT2);

    specimen_ready();
    specimen_wait();

    int server = tcp_accept(listener);
    tcp_expect_end(server);
    tcp_pass(server, client, 100, 1, 0);
    close(server);
    tcp_expect_end(client);
    return specimen_pass();
}
