/* specimen: TCP connection that nobody has accepted yet | group: tcp | needs: root */
#include "tcp.h"

int main(void) {
    int listener = tcp_listen(tcp_four("127.0.0.1", 0), 5);
    int client = tcp_socket(AF_INET);
    tcp_connect(client, tcp_name(listener));
    struct tcp_address address = tcp_name(client);
    specimen_check(files_poll(listener) & POLLIN);

    specimen_ready();
    specimen_wait();

    tcp_same(tcp_name(client), address);
    specimen_equal(tcp_state(client), TCP_STATE_ESTABLISHED);
    struct pollfd entry = {.fd = listener, .events = POLLIN};
    specimen_equal(poll(&entry, 1, 10000), 1);
    struct tcp_ends ends = {client, tcp_accept(listener)};
    tcp_same(tcp_other(ends.server), address);
    tcp_pass_both(ends);
    return specimen_pass();
}
