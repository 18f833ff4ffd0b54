/* specimen: urgent byte in front of others | group: sockets | needs: urgent bytes */
#include "unix.h"

int main(void) {
    int pair[2];
    unix_pair(SOCK_STREAM, pair);
    if (send(pair[1], "!", 1, MSG_OOB) != 1) specimen_skip("no urgent bytes on this kernel");
    unix_send(pair[1], "after");

    specimen_ready();
    specimen_wait();

    char found;
    specimen_equal(recv(pair[0], &found, 1, MSG_OOB), 1);
    specimen_equal(found, '!');
    unix_expect(pair[0], "after");
    return specimen_pass();
}
