/* specimen: fanotify group with marks of a file, one of them renamed, and of a folder | group: events | needs: root */
#include "fanotify.h"

int main(void) {
    int fd = fanotify_new(FAN_CLASS_NOTIF | FAN_UNLIMITED_MARKS);
    fanotify_open("one", O_RDWR), fanotify_open("two", O_RDWR), mkdir("folder", 0700);
    fanotify_add(fd, 0, FAN_MODIFY | FAN_CLOSE_WRITE, "one");
    fanotify_add(fd, 0, FAN_ACCESS | FAN_CLOSE_NOWRITE, "two");
    fanotify_add(fd, FAN_MARK_ONLYDIR, FAN_OPEN | FAN_EVENT_ON_CHILD, "folder");
    specimen_equal(rename("one", "three"), 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(files_flags(fd), O_RDWR | O_NONBLOCK);
    specimen_equal(fcntl(fd, F_GETFD), 0);
    fanotify_own(fd);
    fanotify_open("two", O_WRONLY);
    specimen_equal(fanotify_own(fd), 0);
    fanotify_open("three", O_WRONLY);
    specimen_equal(fanotify_own(fd), FAN_MODIFY | FAN_CLOSE_WRITE);
    fanotify_open("two", O_RDONLY);
    specimen_equal(fanotify_own(fd), FAN_CLOSE_NOWRITE);
    fanotify_open("folder/new", O_WRONLY);
    specimen_equal(fanotify_own(fd), FAN_OPEN);
    return specimen_pass();
}
