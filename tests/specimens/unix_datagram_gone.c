/* specimen: datagram socket whose other end has gone | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int log = unix_bound(SOCK_DGRAM, "log"), client = unix_connected(SOCK_DGRAM, "log");
    close(log), unlink("log");

    specimen_ready();
    specimen_wait();

    unix_expect_peer(client, "log");
    specimen_check(send(client, "x", 1, 0) < 0 && errno == ECONNREFUSED);
    return specimen_pass();
}
