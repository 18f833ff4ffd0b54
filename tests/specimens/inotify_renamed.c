/* specimen: inotify that watches a file which got another name since | group: events | needs: root */
#include "inotify.h"

int main(void) {
    int fd = inotify_new(0);
    inotify_touch("old");
    int number = inotify_watch(fd, "old", IN_ATTRIB);
    mkdir("elsewhere", 0700);
    specimen_equal(rename("old", "elsewhere/new"), 0);
    inotify_touch("old");

    specimen_ready();
    specimen_wait();

    chmod("old", 0400);
    inotify_expect_none(fd);
    chmod("elsewhere/new", 0400);
    inotify_expect(fd, number, IN_ATTRIB, "");
    return specimen_pass();
}
