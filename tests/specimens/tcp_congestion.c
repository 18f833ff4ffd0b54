/* specimen: TCP connection with a congestion control of its own | group: tcp | needs: root */
#include "tcp.h"

static void name(int fd, char *found) {
    socklen_t size = 16;
    memset(found, 0, 17);
    specimen_equal(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, found, &size), 0);
}

int main(void) {
    struct tcp_ends ends = tcp_pair_four();
    char usual[17], found[17];
    name(ends.server, usual);
    const char *other = strcmp(usual, "reno") ? "reno" : "cubic";
    if (setsockopt(ends.client, IPPROTO_TCP, TCP_CONGESTION, other, strlen(other)) != 0)
        specimen_skip("one congestion control only");

    specimen_ready();
    specimen_wait();

    name(ends.client, found);
    specimen_equal_text(found, other);
    name(ends.server, found);
    specimen_equal_text(found, usual);
    tcp_pass_both(ends);
    return specimen_pass();
}
