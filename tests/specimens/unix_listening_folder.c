/* specimen: socket listening at a path through a folder and back | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    specimen_check(mkdir("folder", 0755) == 0);
    int listener = unix_listening(SOCK_STREAM, "folder/../folder/name", 5);
    specimen_check(chmod("folder/name", 0640) == 0);

    specimen_ready();
    specimen_wait();

    struct stat status;
    specimen_check(lstat("folder/name", &status) == 0 && S_ISSOCK(status.st_mode));
    specimen_equal(status.st_mode & 07777, 0640);
    int client = unix_connected(SOCK_STREAM, "folder/name");
    int server = unix_accepted(listener);
    unix_expect_name(server, "folder/../folder/name"), unix_expect_peer(client, "folder/../folder/name"), unix_expect_name(client, NULL);
    unix_talk(client, server);
    unix_expect_made_by(client, getpid(), geteuid(), getegid());
    return specimen_pass();
}
