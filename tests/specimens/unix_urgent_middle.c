/* specimen: urgent byte between others | group: sockets | needs: urgent bytes */
#include "unix.h"

int main(void) {
    int pair[2];
    unix_pair(SOCK_STREAM, pair);
    unix_send(pair[1], "before");
    if (send(pair[1], "!", 1, MSG_OOB) != 1) specimen_skip("no urgent bytes on this kernel");
    unix_send(pair[1], "after");

    specimen_ready();
    specimen_wait();

    char found;
    int mark = -1;
    specimen_check(unix_poll(pair[0], POLLPRI) & POLLPRI);
    unix_expect(pair[0], "before");
    specimen_check(ioctl(pair[0], 0x8905, &mark) == 0 && mark == 1); /* SIOCATMARK */
    specimen_equal(recv(pair[0], &found, 1, MSG_OOB), 1);
    specimen_equal(found, '!');
    unix_expect(pair[0], "after");
    return specimen_pass();
}
