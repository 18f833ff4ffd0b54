/* specimen: TCP socket that listens at one network device only | group: tcp | needs: root */
#include "tcp.h"

int main(void) {
    int listener = tcp_socket(AF_INET);
    specimen_equal(setsockopt(listener, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2), 0);
    tcp_bind(listener, tcp_four("0.0.0.0", 0));
    specimen_equal(listen(listener, 3), 0);
    struct tcp_ends ends = {.client = tcp_socket(AF_INET), .server = -1};
    tcp_connect(ends.client, tcp_four("127.0.0.1", tcp_port(tcp_name(listener))));
    ends.server = tcp_accept(listener);

    specimen_ready();
    specimen_wait();

    char name[17] = "";
    socklen_t size = sizeof name - 1;
    specimen_equal(getsockopt(listener, SOL_SOCKET, SO_BINDTODEVICE, name, &size), 0);
    specimen_equal_text(name, "lo");
    tcp_pass_both(ends);
    return specimen_pass();
}
