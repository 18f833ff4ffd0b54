/* specimen: listening socket whose path was deleted, with a connection | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int listener = unix_listening(SOCK_STREAM, "name", 5);
    int client = unix_connected(SOCK_STREAM, "name");
    int server = unix_accepted(listener);
    specimen_check(unlink("name") == 0);

    specimen_ready();
    specimen_wait();

    struct stat status;
    specimen_check(lstat("name", &status) < 0 && errno == ENOENT);
    unix_expect_name(listener, "name");
    unix_talk(client, server);
    specimen_check(unix_try_connect(unix_socket(SOCK_STREAM), "name") < 0 && errno == ENOENT);
    return specimen_pass();
}
