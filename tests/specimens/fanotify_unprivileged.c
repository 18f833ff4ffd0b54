/* specimen: fanotify group of a process without capabilities, which hears less of others | group: events | needs: root */
#include "fanotify.h"
#include "peer.h"

#include <linux/capability.h>
#include <sys/syscall.h>

static void child(struct peer *me) {
    peer_turn(me);
    fanotify_open("file", O_WRONLY);
}

int main(void) {
    fanotify_open("file", O_RDWR);
    struct peer *peer = peer_start(child);
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2] = {{0}};
    specimen_equal(syscall(SYS_capset, &header, none), 0);
    int fd = fanotify_new(FAN_CLASS_NOTIF | FAN_REPORT_FID);
    fanotify_add(fd, 0, FAN_CLOSE_WRITE, "file");

    specimen_ready();
    specimen_wait();

    fanotify_own(fd);
    peer_end(peer);
    struct fanotify_event_metadata event[4];
    specimen_check(read(fd, event, sizeof event) >= (ssize_t)sizeof *event);
    specimen_equal(event->mask, FAN_CLOSE_WRITE);
    specimen_equal(event->pid, 0);
    return specimen_pass();
}
