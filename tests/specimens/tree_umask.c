/* specimen: file mode creation mask: root's and a child's differ | group: tree | needs: nothing */
#include "peer.h"

#include <fcntl.h>
#include <sys/stat.h>

static void make(const char *name, mode_t wanted) {
    struct stat status;
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0777);
    specimen_check(fd >= 0 && fstat(fd, &status) == 0);
    specimen_equal(status.st_mode & 07777, wanted);
    close(fd);
}

static void child(struct peer *me) {
    umask(0153);
    peer_turn(me);
    make("child", 0624);
    specimen_equal(umask(0), 0153);
}

int main(void) {
    umask(0071);
    struct peer *peer = peer_start(child);

    specimen_ready();
    specimen_wait();

    peer_end(peer);
    make("root", 0706);
    specimen_equal(umask(0), 0071);
    return specimen_pass();
}
