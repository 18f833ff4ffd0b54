/* specimen: inotify that watches a deleted file, which is open | group: events | needs: root */
#include "inotify.h"

int main(void) {
    int fd = inotify_new(0), file = open("gone", O_RDWR | O_CREAT, 0600);
    int number = inotify_watch(fd, "gone", IN_MODIFY);
    unlink("gone");

    specimen_ready();
    specimen_wait();

    specimen_equal(write(file, "x", 1), 1);
    inotify_expect(fd, number, IN_MODIFY, "");
    close(file);
    inotify_expect(fd, number, IN_IGNORED, "");
    return specimen_pass();
}
