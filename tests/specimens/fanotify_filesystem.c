/* specimen: fanotify mark of a filesystem, whose events carry handles and names | group: events | needs: root */
#include "fanotify.h"

int main(void) {
    int fd = fanotify_new(FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME | FAN_REPORT_TID);
    fanotify_add(fd, FAN_MARK_FILESYSTEM, FAN_CREATE | FAN_DELETE | FAN_ONDIR, ".");

    specimen_ready();
    specimen_wait();

    fanotify_own(fd);
    mkdir("folder", 0700);
    specimen_equal(fanotify_own(fd), FAN_CREATE | FAN_ONDIR);
    rmdir("folder");
    specimen_equal(fanotify_own(fd), FAN_DELETE | FAN_ONDIR);
    return specimen_pass();
}
