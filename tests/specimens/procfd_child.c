/* specimen: open files of a child's /proc/PID, and the child's of its parent's | group: objects | needs: nothing */
#include "files.h"
#include "pidfd.h"

#include <sys/prctl.h>

static void child(struct peer *me) {
    char path[64], text[64];
    snprintf(path, sizeof path, "/proc/%d/comm", getppid());
    int fd = open(path, O_RDONLY);
    prctl(PR_SET_NAME, "renamed");
    peer_turn(me);
    specimen_check(read(fd, text, sizeof text) > 0);
    specimen_check(!strncmp(text, "procfd_child", 12));
}

int main(void) {
    struct peer *peer = peer_start(child);
    char path[64], text[64];
    snprintf(path, sizeof path, "/proc/%d/comm", peer->pid);
    int fd = open(path, O_RDWR);
    specimen_check(fd >= 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(pread(fd, text, sizeof text, 0), 8);
    specimen_check(!strncmp(text, "renamed\n", 8));
    peer_end(peer);
    files_fails(pread(fd, text, sizeof text, 0), ESRCH);
    return specimen_pass();
}
