/* specimen: listening socket in flight, and a client of it | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int pair[2], listener = unix_listening(SOCK_STREAM, "name", 4);
    unix_pair(SOCK_STREAM, pair);
    int client = unix_connected(SOCK_STREAM, "name");
    unix_send_fd(pair[0], "listener", listener);
    close(listener);

    specimen_ready();
    specimen_wait();

    listener = unix_expect_fd(pair[1], "listener");
    unix_talk(client, unix_accepted(listener));
    int next = unix_connected(SOCK_STREAM, "name");
    unix_talk(next, unix_accepted(listener));
    return specimen_pass();
}
