/* specimen: listening socket whose path was renamed | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int listener = unix_listening(SOCK_STREAM, "before", 5);
    specimen_check(rename("before", "after") == 0);

    specimen_ready();
    specimen_wait();

    struct stat status;
    specimen_check(lstat("before", &status) < 0);
    int client = unix_connected(SOCK_STREAM, "after"), server = unix_accepted(listener);
    unix_expect_name(listener, "before");
    unix_talk(client, server);
    return specimen_pass();
}
