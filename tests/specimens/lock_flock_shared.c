/* specimen: flock of a description that two processes have open | group: files | needs: nothing */
#include "locks.h"

static int fd;

static void child(struct peer *me) {
    peer_turn(me);
    close(fd);
    peer_turn(me);
}

int main(void) {
    fd = files_open_at(20, "file", O_RDWR | O_CREAT);
    int same = dup(fd);
    specimen_equal(flock(fd, LOCK_EX), 0);
    struct peer *peer = peer_start(child);

    specimen_ready();
    specimen_wait();

    int other = open("file", O_RDWR | O_CLOEXEC);
    peer_step(peer);
    files_fails(flock(other, LOCK_EX | LOCK_NB), EWOULDBLOCK);
    close(fd);
    files_fails(flock(other, LOCK_EX | LOCK_NB), EWOULDBLOCK);
    specimen_equal(flock(same, LOCK_UN), 0);
    specimen_equal(flock(other, LOCK_EX | LOCK_NB), 0);
    peer_end(peer);
    return specimen_pass();
}
