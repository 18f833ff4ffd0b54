/* specimen: epoll whose target was closed by the number it was added by, and lives on under another | group: events | needs: nothing */
#include "events.h"

int main(void) {
    int epoll = epoll_create1(0), first = eventfd(0, 0), second = eventfd(0, 0);
    events_add(epoll, first, EPOLLIN, 1);
    events_add(epoll, second, EPOLLIN, 2);
    int one = fcntl(first, F_DUPFD, 50), two = fcntl(second, F_DUPFD, 60);
    close(first);
    specimen_equal(dup2(0, second), second);

    specimen_ready();
    specimen_wait();

    specimen_equal(eventfd_write(one, 1), 0);
    events_expect(epoll, EPOLLIN, 1, 0);
    events_ticks(one);
    specimen_equal(eventfd_write(two, 1), 0);
    events_expect(epoll, EPOLLIN, 2, 0);
    events_ticks(two);
    specimen_equal(files_is_open(first), 0);
    specimen_equal(files_stat(second).st_ino, files_stat(0).st_ino);
    /* The number is part of the entry: the same file under its new one is another. */
    events_add(epoll, one, EPOLLIN, 3);
    close(two);
    return specimen_pass();
}
