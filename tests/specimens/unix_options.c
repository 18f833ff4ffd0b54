/* specimen: options: what comes with messages, buffers, timeouts | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int pair[2];
    unix_pair(SOCK_DGRAM, pair);
    unix_set(pair[0], SO_PASSSEC, 1), unix_set(pair[0], SO_SNDBUF, 33333), unix_set(pair[0], SO_PRIORITY, 3);
    struct timeval wait = {3, 250000}, found;
    specimen_check(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) == 0);
    int has_pidfd = setsockopt(pair[1], SOL_SOCKET, 76, &(int){1}, sizeof(int)) == 0; /* SO_PASSPIDFD */
    unix_set(pair[1], SO_TIMESTAMP, 1);

    specimen_ready();
    specimen_wait();

    socklen_t length = sizeof found;
    specimen_equal(unix_option(pair[0], SO_PASSSEC), 1);
    specimen_equal(unix_option(pair[1], SO_PASSSEC), 0);
    specimen_equal(unix_option(pair[0], SO_SNDBUF), 66666);
    specimen_equal(unix_option(pair[0], SO_PRIORITY), 3);
    specimen_check(getsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &found, &length) == 0);
    specimen_check(found.tv_sec == 3 && found.tv_usec >= 240000 && found.tv_usec <= 260000);
    if (has_pidfd) specimen_equal(unix_option(pair[1], 76), 1);
    specimen_equal(unix_option(pair[1], SO_TIMESTAMP), 1);
    return specimen_pass();
}
