/* specimen: listening socket whose backlog is full | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int listener = unix_listening(SOCK_STREAM, "name", 1), client[2];
    for (int i = 0; i < 2; i++) client[i] = unix_connected(SOCK_STREAM, "name");

    specimen_ready();
    specimen_wait();

    int late = unix_socket(SOCK_STREAM | SOCK_NONBLOCK);
    specimen_check(unix_try_connect(late, "name") < 0 && errno == EAGAIN);
    for (int i = 0; i < 2; i++) unix_talk(client[i], unix_accepted(listener));
    return specimen_pass();
}
