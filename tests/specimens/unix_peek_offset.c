/* specimen: offset for peeking, and unread bytes around it | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int pair[2];
    char found[8] = {0};
    unix_pair(SOCK_STREAM, pair);
    unix_send(pair[1], "abcdefgh");
    unix_set(pair[0], SO_PEEK_OFF, 2);
    specimen_equal(recv(pair[0], found, 2, MSG_PEEK), 2);
    specimen_equal(unix_option(pair[0], SO_PEEK_OFF), 4);

    specimen_ready();
    specimen_wait();

    specimen_equal(unix_option(pair[0], SO_PEEK_OFF), 4);
    specimen_equal(unix_option(pair[1], SO_PEEK_OFF), -1);
    specimen_equal(recv(pair[0], found, 3, MSG_PEEK), 3);
    specimen_check(memcmp(found, "efg", 3) == 0);
    unix_expect(pair[0], "abcdefgh");
    return specimen_pass();
}
