/* specimen: connection whose listening socket was closed | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int listener = unix_listening(SOCK_STREAM, "name", 5);
    int client = unix_connected(SOCK_STREAM, "name"), server = unix_accepted(listener);
    close(listener);

    specimen_ready();
    specimen_wait();

    unix_expect_name(server, "name"), unix_expect_peer(client, "name");
    unix_talk(client, server);
    return specimen_pass();
}
