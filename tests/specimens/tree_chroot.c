/* specimen: a child with another root folder (chroot(2)), standing in it; one that stands outside of its root | group: tree | needs: root */
#include "peer.h"

#include <fcntl.h>
#include <sys/stat.h>

static void make(const char *name) {
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    specimen_check(fd >= 0);
    close(fd);
}

static void inside(struct peer *me) {
    char folder[4096];
    specimen_check(chroot("jail") == 0 && chdir("/below") == 0);
    peer_turn(me);
    specimen_check(getcwd(folder, sizeof folder));
    specimen_equal_text(folder, "/below");
    specimen_equal(access("/proc", F_OK), -1);
    make("/made from inside");
}

static void outside(struct peer *me) {
    specimen_equal(chroot("jail"), 0);
    peer_turn(me);
    specimen_equal(access("/below", F_OK), 0);
    specimen_equal(access("/proc", F_OK), -1);
    make("made from outside");
}

int main(void) {
    specimen_check(mkdir("jail", 0700) == 0 && mkdir("jail/below", 0700) == 0);
    struct peer *one = peer_start(inside), *other = peer_start(outside);

    specimen_ready();
    specimen_wait();

    peer_end(one);
    peer_end(other);
    specimen_equal(access("jail/made from inside", F_OK), 0);
    specimen_equal(access("made from outside", F_OK), 0);
    return specimen_pass();
}
