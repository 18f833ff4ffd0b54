/* specimen: fanotify group that decides who may open a file | group: events | needs: root, refusal as decides about the accesses of others */
#include "fanotify.h"

int main(void) {
    int fd = fanotify_new(FAN_CLASS_CONTENT);
    fanotify_open("file", O_RDWR);
    if (fanotify_mark(fd, FAN_MARK_ADD, FAN_OPEN_PERM, AT_FDCWD, "file") < 0) specimen_skip("no FAN_OPEN_PERM: %s", strerror(errno));

    specimen_ready();
    specimen_wait();

    return specimen_pass();
}
