/* specimen: connection of which the server has gone | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int listener = unix_listening(SOCK_STREAM, "name", 5);
    int client = unix_connected(SOCK_STREAM, "name"), server = unix_accepted(listener);
    unix_send(server, "bye");
    close(server), close(listener);

    specimen_ready();
    specimen_wait();

    unix_expect_peer(client, "name");
    unix_expect(client, "bye");
    unix_expect_end(client);
    return specimen_pass();
}
