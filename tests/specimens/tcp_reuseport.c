/* specimen: four TCP sockets that listen at one address (SO_REUSEPORT) | group: tcp | needs: nothing */
#include "tcp.h"

enum { SOCKETS = 4 };

int main(void) {
    int listeners[SOCKETS];
    struct tcp_address address = tcp_four("127.0.0.1", 0);
    for (int i = 0; i < SOCKETS; i++) {
        listeners[i] = tcp_socket(AF_INET);
        tcp_set(listeners[i], SOL_SOCKET, SO_REUSEPORT, 1);
        tcp_bind(listeners[i], address);
        specimen_equal(listen(listeners[i], 100 + i), 0);
        address = tcp_name(listeners[0]);
    }

    specimen_ready();
    specimen_wait();

    int ready = 0;
    for (int i = 0; i < 64; i++) {
        int client = tcp_socket(AF_INET);
        tcp_connect(client, address);
    }
    for (int i = 0; i < SOCKETS; i++) {
        specimen_equal(tcp_get(listeners[i], SOL_SOCKET, SO_REUSEPORT), 1);
        tcp_same(tcp_name(listeners[i]), address);
        ready += files_poll(listeners[i]) & POLLIN ? 1 : 0;
    }
    specimen_check(ready > 1);
    return specimen_pass();
}
