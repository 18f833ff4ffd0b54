/* specimen: epoll instance in flight | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int pair[2], set = epoll_create1(0), event = eventfd(0, 0);
    unix_pair(SOCK_STREAM, pair);
    struct epoll_event wanted = {EPOLLIN, {.u64 = 77}}, found;
    specimen_check(epoll_ctl(set, EPOLL_CTL_ADD, event, &wanted) == 0);
    specimen_check(epoll_ctl(set, EPOLL_CTL_ADD, pair[1], &wanted) == 0);
    unix_send_fd(pair[0], "set", set);
    close(set);

    specimen_ready();
    specimen_wait();

    set = unix_expect_fd(pair[1], "set");
    specimen_equal(epoll_wait(set, &found, 1, 0), 0);
    specimen_equal(write(event, &(uint64_t){1}, 8), 8);
    specimen_equal(epoll_wait(set, &found, 1, 0), 1);
    specimen_equal(found.data.u64, 77);
    return specimen_pass();
}
