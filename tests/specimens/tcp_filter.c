/* specimen: TCP connection with a classic filter, locked | group: tcp | needs: root */
#include "tcp.h"

#include <linux/filter.h>

int main(void) {
    struct tcp_ends ends = tcp_pair_four();
    struct sock_filter code[] = {{0x06, 0, 0, 0xffff}};
    struct sock_fprog program = {.len = 1, .filter = code};
    specimen_equal(setsockopt(ends.server, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), 0);
    tcp_set(ends.server, SOL_SOCKET, SO_LOCK_FILTER, 1);
    files_write(ends.client, 100, 1, 0);

    specimen_ready();
    specimen_wait();

    struct sock_filter found[4] = {{0}};
    socklen_t size = 4;
    specimen_equal(getsockopt(ends.server, SOL_SOCKET, SO_GET_FILTER, found, &size), 0);
    specimen_equal(size, 1);
    specimen_equal(found[0].k, 0xffff);
    size = 4;
    specimen_equal(getsockopt(ends.client, SOL_SOCKET, SO_GET_FILTER, found, &size), 0);
    specimen_equal(size, 0);
    specimen_equal(tcp_get(ends.server, SOL_SOCKET, SO_LOCK_FILTER), 1);
    files_expect(ends.server, 100, 1, 0);
    tcp_pass_both(ends);
    return specimen_pass();
}
