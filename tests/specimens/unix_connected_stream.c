/* specimen: connection to a listening stream socket, with unread data | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int listener = unix_listening(SOCK_STREAM, "name", 5);
    int client = unix_connected(SOCK_STREAM, "name"), server = unix_accepted(listener);
    unix_send(client, "question"), unix_send(server, "answer");

    specimen_ready();
    specimen_wait();

    unix_expect_name(server, "name"), unix_expect_peer(client, "name");
    unix_expect_name(client, NULL), unix_expect_peer(server, NULL);
    unix_expect(server, "question"), unix_expect(client, "answer");
    unix_talk(client, server);
    int next = unix_connected(SOCK_STREAM, "name"), its = unix_accepted(listener);
    unix_talk(next, its);
    return specimen_pass();
}
