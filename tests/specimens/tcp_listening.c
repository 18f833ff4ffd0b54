/* specimen: TCP socket that listens | group: tcp | needs: nothing */
#include "tcp.h"

int main(void) {
    int listener = tcp_listen(tcp_four("127.0.0.1", 0), 17);
    struct tcp_address address = tcp_name(listener);

    specimen_ready();
    specimen_wait();

    tcp_same(tcp_name(listener), address);
    specimen_equal(tcp_state(listener), TCP_STATE_LISTEN);
    specimen_equal(tcp_info(listener).tcpi_sacked, 17);
    specimen_equal(files_poll(listener), 0);
    tcp_pass_both(tcp_pair_by(listener, tcp_socket(AF_INET)));
    return specimen_pass();
}
