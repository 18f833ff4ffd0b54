/* specimen: TCP socket that listens at an address that is not here (IP_FREEBIND) | group: tcp | needs: nothing */
#include "tcp.h"

int main(void) {
    int listener = tcp_socket(AF_INET);
    tcp_set(listener, IPPROTO_IP, IP_FREEBIND, 1);
    tcp_bind(listener, tcp_four("198.51.100.9", 0));
    specimen_equal(listen(listener, 3), 0);
    struct tcp_address address = tcp_name(listener);

    specimen_ready();
    specimen_wait();

    tcp_same(tcp_name(listener), address);
    specimen_equal(tcp_state(listener), TCP_STATE_LISTEN);
    specimen_equal(tcp_get(listener, IPPROTO_IP, IP_FREEBIND), 1);
    return specimen_pass();
}
