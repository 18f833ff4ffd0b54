/* specimen: socket listening at an abstract name | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    const char *name = unix_abstract("listening");
    int listener = unix_listening(SOCK_STREAM, name, 5);

    specimen_ready();
    specimen_wait();

    int client = unix_connected(SOCK_STREAM, name);
    int server = unix_accepted(listener);
    unix_expect_name(server, name), unix_expect_peer(client, name), unix_expect_name(client, NULL);
    unix_talk(client, server);
    unix_expect_made_by(client, getpid(), geteuid(), getegid());
    return specimen_pass();
}
