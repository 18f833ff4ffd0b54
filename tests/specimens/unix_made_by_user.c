/* specimen: connection and pair made by another user | group: sockets | needs: root */
#include "unix.h"

int main(void) {
    int listener = unix_listening(SOCK_STREAM, "name", 5), pair[2];
    specimen_check(chmod("name", 0777) == 0 && chmod(".", 0777) == 0);
    specimen_check(setegid(1234) == 0 && seteuid(1234) == 0);
    int client = unix_connected(SOCK_STREAM, "name");
    unix_pair(SOCK_STREAM, pair);
    specimen_check(seteuid(0) == 0 && setegid(0) == 0);
    int server = unix_accepted(listener);

    specimen_ready();
    specimen_wait();

    unix_expect_made_by(server, getpid(), 1234, 1234);
    unix_expect_made_by(client, getpid(), 0, 0);
    unix_expect_made_by(pair[0], getpid(), 1234, 1234);
    unix_talk(client, server);
    return specimen_pass();
}
