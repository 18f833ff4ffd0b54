/* specimen: inotify with IN_ONESHOT and IN_EXCL_UNLINK | group: events | needs: root */
#include "inotify.h"

int main(void) {
    int fd = inotify_new(0);
    inotify_touch("once");
    mkdir("folder", 0700);
    int once = inotify_watch(fd, "once", IN_MODIFY | IN_ONESHOT);
    int folder = inotify_watch(fd, "folder", IN_MODIFY | IN_EXCL_UNLINK);

    specimen_ready();
    specimen_wait();

    int file = open("once", O_WRONLY);
    specimen_equal(write(file, "x", 1), 1);
    inotify_expect(fd, once, IN_MODIFY, "");
    inotify_expect(fd, once, IN_IGNORED, "");
    specimen_equal(write(file, "x", 1), 1);
    inotify_expect_none(fd);
    file = open("folder/file", O_WRONLY | O_CREAT, 0600);
    specimen_equal(write(file, "x", 1), 1);
    inotify_expect(fd, folder, IN_MODIFY, "file");
    unlink("folder/file");
    specimen_equal(write(file, "x", 1), 1);
    inotify_expect_none(fd);
    return specimen_pass();
}
