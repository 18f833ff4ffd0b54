/* specimen: connection of which both ends have names | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int listener = unix_listening(SOCK_STREAM, "server", 5);
    int client = unix_bound(SOCK_STREAM, "client");
    specimen_check(unix_try_connect(client, "server") == 0);
    int server = unix_accepted(listener);

    specimen_ready();
    specimen_wait();

    unix_expect_name(server, "server"), unix_expect_peer(client, "server");
    unix_expect_name(client, "client"), unix_expect_peer(server, "client");
    unix_talk(client, server);
    return specimen_pass();
}
