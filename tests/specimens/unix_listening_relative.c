/* specimen: socket listening at a relative path | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int listener = unix_listening(SOCK_STREAM, "name", 5);
    specimen_check(chmod("name", 0640) == 0);

    specimen_ready();
    specimen_wait();

    struct stat status;
    specimen_check(lstat("name", &status) == 0 && S_ISSOCK(status.st_mode));
    specimen_equal(status.st_mode & 07777, 0640);
    int client = unix_connected(SOCK_STREAM, "name");
    int server = unix_accepted(listener);
    unix_expect_name(server, "name"), unix_expect_peer(client, "name"), unix_expect_name(client, NULL);
    unix_talk(client, server);
    unix_expect_made_by(client, getpid(), geteuid(), getegid());
    return specimen_pass();
}
