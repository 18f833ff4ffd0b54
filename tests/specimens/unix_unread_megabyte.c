/* specimen: stream with a megabyte unread and large buffers | group: sockets | needs: root */
#include "unix.h"

int main(void) {
    int pair[2];
    unix_pair(SOCK_STREAM, pair);
    int size = 4 << 20;
    if (setsockopt(pair[0], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) != 0) specimen_skip("needs CAP_NET_ADMIN");
    char *sent = malloc(1 << 20), *found = malloc(1 << 20);
    for (int i = 0; i < 1 << 20; i++) sent[i] = (char)(i * 7 + i / 251);
    specimen_equal(send(pair[0], sent, 1 << 20, MSG_DONTWAIT), 1 << 20);
    int before = unix_option(pair[0], SO_SNDBUF);

    specimen_ready();
    specimen_wait();

    specimen_equal(recv(pair[1], found, 1 << 20, MSG_WAITALL), 1 << 20);
    specimen_check(memcmp(sent, found, 1 << 20) == 0);
    unix_expect_nothing(pair[1]);
    specimen_equal(unix_option(pair[0], SO_SNDBUF), before);
    return specimen_pass();
}
