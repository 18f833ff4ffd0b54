/* specimen: connections that nobody has accepted | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int listener = unix_listening(SOCK_STREAM, "name", 5), client[3];
    for (int i = 0; i < 3; i++) client[i] = unix_connected(SOCK_STREAM, "name");

    specimen_ready();
    specimen_wait();

    for (int i = 0; i < 3; i++) {
        int server = unix_accepted(listener);
        unix_talk(client[i], server);
        unix_expect_made_by(client[i], getpid(), geteuid(), getegid());
        unix_expect_made_by(server, getpid(), geteuid(), getegid());
    }
    fcntl(listener, F_SETFL, O_NONBLOCK);
    specimen_check(accept(listener, NULL, NULL) < 0 && errno == EAGAIN);
    return specimen_pass();
}
