/* specimen: socket listening at an absolute path | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    static char path[108];
    snprintf(path, sizeof path, "/tmp/specimen-%s", specimen_mark());
    int listener = unix_listening(SOCK_STREAM, path, 5);
    specimen_check(chmod(path, 0640) == 0);

    specimen_ready();
    specimen_wait();

    struct stat status;
    specimen_check(lstat(path, &status) == 0 && S_ISSOCK(status.st_mode));
    specimen_equal(status.st_mode & 07777, 0640);
    int client = unix_connected(SOCK_STREAM, path);
    int server = unix_accepted(listener);
    unix_expect_name(server, path), unix_expect_peer(client, path), unix_expect_name(client, NULL);
    unix_talk(client, server);
    unix_expect_made_by(client, getpid(), geteuid(), getegid());
    specimen_check(unlink(path) == 0);
    return specimen_pass();
}
