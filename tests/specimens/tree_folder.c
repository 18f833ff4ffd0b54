/* specimen: current folder: root's and a child's differ, and both are used | group: tree | needs: nothing */
#include "peer.h"

#include <fcntl.h>
#include <sys/stat.h>

static void make(const char *name) {
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    specimen_check(fd >= 0);
    close(fd);
}

static void child(struct peer *me) {
    char before[4096], after[4096];
    specimen_equal(chdir("below"), 0);
    specimen_check(getcwd(before, sizeof before));
    peer_turn(me);
    specimen_check(getcwd(after, sizeof after));
    specimen_equal_text(after, before);
    make("made by the child");
}

int main(void) {
    char before[4096], after[4096];
    specimen_equal(mkdir("below", 0700), 0);
    specimen_check(getcwd(before, sizeof before));
    struct peer *peer = peer_start(child);

    specimen_ready();
    specimen_wait();

    specimen_check(getcwd(after, sizeof after));
    specimen_equal_text(after, before);
    peer_end(peer);
    specimen_equal(access("below/made by the child", F_OK), 0);
    make("made by the root");
    return specimen_pass();
}
