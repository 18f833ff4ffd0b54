/* specimen: sockets of each type that are neither bound nor connected | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int stream = unix_socket(SOCK_STREAM), datagram = unix_socket(SOCK_DGRAM | SOCK_NONBLOCK);
    int packets = unix_socket(SOCK_SEQPACKET | SOCK_CLOEXEC);

    specimen_ready();
    specimen_wait();

    specimen_check(send(stream, "x", 1, MSG_NOSIGNAL) < 0 && errno == ENOTCONN);
    specimen_check(files_flags(datagram) & O_NONBLOCK);
    specimen_equal(fcntl(packets, F_GETFD), FD_CLOEXEC);
    int bound = unix_bound(SOCK_DGRAM, "name");
    unix_send_to(datagram, "text", "name"), unix_expect_from(bound, "text", NULL);
    specimen_equal(unix_made_by(stream).pid, 0);
    return specimen_pass();
}
