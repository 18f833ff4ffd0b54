/* specimen: datagram socket whose name the kernel chose | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int bound = unix_socket(SOCK_DGRAM);
    struct sockaddr_un name = {.sun_family = AF_UNIX}, later;
    socklen_t length = sizeof name, then = sizeof later;
    specimen_check(bind(bound, (struct sockaddr *)&name, sizeof(sa_family_t)) == 0);
    specimen_check(getsockname(bound, (struct sockaddr *)&name, &length) == 0);

    specimen_ready();
    specimen_wait();

    specimen_check(getsockname(bound, (struct sockaddr *)&later, &then) == 0);
    specimen_equal(then, length);
    specimen_check(memcmp(&name, &later, length) == 0);
    int client = unix_socket(SOCK_DGRAM);
    specimen_equal(sendto(client, "x", 1, 0, (struct sockaddr *)&name, length), 1);
    unix_expect(bound, "x");
    return specimen_pass();
}
