/* specimen: TCP connection over IPv4 to an IPv6 socket that listens to both | group: tcp | needs: root */
#include "tcp.h"

int main(void) {
    int listener = tcp_listen(tcp_six("::", 0), 3);
    int client = tcp_socket(AF_INET);
    tcp_connect(client, tcp_four("127.0.0.1", tcp_port(tcp_name(listener))));
    struct tcp_ends ends = {client, tcp_accept(listener)};
    struct tcp_address server = tcp_name(ends.server), other = tcp_other(ends.server);
    specimen_check(IN6_IS_ADDR_V4MAPPED(&server.six.sin6_addr));
    files_write(ends.client, 50, 1, 0);
    specimen_equal(shutdown(ends.client, SHUT_WR), 0);
    tcp_await_state(ends.client, TCP_STATE_FIN_WAIT2);

    specimen_ready();
    specimen_wait();

    tcp_same(tcp_name(ends.server), server);
    tcp_same(tcp_other(ends.server), other);
    specimen_equal(tcp_state(ends.server), TCP_STATE_CLOSE_WAIT);
    files_expect(ends.server, 50, 1, 0);
    tcp_expect_end(ends.server);
    tcp_pass(ends.server, ends.client, 1000, 2, 0);
    specimen_equal(tcp_get(listener, IPPROTO_IPV6, IPV6_V6ONLY), 0);
    client = tcp_socket(AF_INET);
    tcp_connect(client, tcp_four("127.0.0.1", tcp_port(tcp_name(listener))));
    tcp_pass_both((struct tcp_ends){client, tcp_accept(listener)});
    return specimen_pass();
}
