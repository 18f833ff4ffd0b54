/* specimen: datagram socket without a name that is connected to one with a name | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int log = unix_bound(SOCK_DGRAM, "log"), client = unix_connected(SOCK_DGRAM, "log");
    unix_send(client, "one");

    specimen_ready();
    specimen_wait();

    unix_expect_peer(client, "log");
    unix_send(client, "two");
    unix_expect_from(log, "one", NULL), unix_expect_from(log, "two", NULL);
    return specimen_pass();
}
