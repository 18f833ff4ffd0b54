/* specimen: fanotify mark of a mount, and of a file that is ignored | group: events | needs: root */
#include "fanotify.h"

int main(void) {
    /* Events with handles: those with descriptors would keep everybody's deleted files alive. */
    int fd = fanotify_new(FAN_CLASS_NOTIF | FAN_REPORT_FID);
    fanotify_open("heard", O_RDWR), fanotify_open("ignored", O_RDWR);
    fanotify_add(fd, FAN_MARK_MOUNT, FAN_CLOSE_WRITE, ".");
    fanotify_add(fd, FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY, FAN_CLOSE_WRITE, "ignored");

    specimen_ready();
    specimen_wait();

    fanotify_own(fd);
    fanotify_open("ignored", O_WRONLY);
    specimen_equal(fanotify_own(fd), 0);
    fanotify_open("heard", O_WRONLY);
    specimen_equal(fanotify_own(fd), FAN_CLOSE_WRITE);
    return specimen_pass();
}
