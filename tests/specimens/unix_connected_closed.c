/* specimen: connection of which the client has gone | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int listener = unix_listening(SOCK_STREAM, "name", 5);
    int client = unix_connected(SOCK_STREAM, "name"), server = unix_accepted(listener);
    unix_send(client, "bye");
    close(client);

    specimen_ready();
    specimen_wait();

    unix_expect_name(server, "name");
    unix_expect(server, "bye");
    unix_expect_end(server);
    return specimen_pass();
}
