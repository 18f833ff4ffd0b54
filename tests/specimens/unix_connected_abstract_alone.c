/* specimen: connection to an abstract name whose listening socket was closed | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    const char *name = unix_abstract("alone");
    int listener = unix_listening(SOCK_STREAM, name, 5);
    int client = unix_connected(SOCK_STREAM, name), server = unix_accepted(listener);
    close(listener);

    specimen_ready();
    specimen_wait();

    unix_expect_name(server, name), unix_expect_peer(client, name);
    unix_talk(client, server);
    listener = unix_listening(SOCK_STREAM, name, 5);
    return specimen_pass();
}
