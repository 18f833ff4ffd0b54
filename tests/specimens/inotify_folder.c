/* specimen: inotify that watches a folder | group: events | needs: root */
#include "inotify.h"

int main(void) {
    int fd = inotify_new(IN_CLOEXEC);
    mkdir("watched", 0700);
    int number = inotify_watch(fd, "watched", IN_CREATE | IN_DELETE);

    specimen_ready();
    specimen_wait();

    specimen_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    specimen_equal(files_flags(fd), O_RDONLY | O_NONBLOCK);
    inotify_expect_none(fd);
    inotify_touch("watched/new");
    inotify_expect(fd, number, IN_CREATE, "new");
    unlink("watched/new");
    inotify_expect(fd, number, IN_DELETE, "new");
    inotify_expect_none(fd);
    return specimen_pass();
}
