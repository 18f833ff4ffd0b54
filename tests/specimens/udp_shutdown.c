/* specimen: UDP sockets that are shut down for reading, for writing, for both | group: sockets | needs: nothing */
#include "sockets.h"

int main(void) {
    int peer = socket_udp(socket_four("127.0.0.1", 0)), fds[3];
    for (int how = 0; how < 3; how++) {
        fds[how] = socket_udp(socket_four("127.0.0.1", 0));
        socket_connect(fds[how], socket_name(peer));
        specimen_equal(shutdown(fds[how], how), 0);
    }

    specimen_ready();
    specimen_wait();

    signal(SIGPIPE, SIG_IGN);
    char byte;
    specimen_equal(recv(fds[0], &byte, 1, 0), 0); specimen_equal(send(fds[0], "x", 1, 0), 1);
    socket_expect_nothing(fds[1]); files_fails(send(fds[1], "x", 1, 0), EPIPE);
    specimen_equal(recv(fds[2], &byte, 1, 0), 0); files_fails(send(fds[2], "x", 1, 0), EPIPE);
    return specimen_pass();
}
