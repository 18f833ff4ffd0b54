/* specimen: sockets in an epoll instance, one of them ready | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int one[2], two[2], set = epoll_create1(0);
    unix_pair(SOCK_STREAM, one), unix_pair(SOCK_DGRAM, two);
    struct epoll_event event = {EPOLLIN, {.u64 = 1}}, found[4];
    specimen_check(epoll_ctl(set, EPOLL_CTL_ADD, one[0], &event) == 0);
    event.data.u64 = 2;
    specimen_check(epoll_ctl(set, EPOLL_CTL_ADD, two[0], &event) == 0);
    unix_send(one[1], "x");

    specimen_ready();
    specimen_wait();

    specimen_equal(epoll_wait(set, found, 4, 0), 1);
    specimen_equal(found[0].data.u64, 1);
    unix_send(two[1], "x");
    specimen_equal(epoll_wait(set, found, 4, 0), 2);
    return specimen_pass();
}
