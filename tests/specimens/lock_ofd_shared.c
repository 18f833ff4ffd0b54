/* specimen: lock of a description that a child has inherited | group: files | needs: nothing */
#include "locks.h"

static int fd;

static void child(struct peer *me) {
    peer_turn(me);
    lock_set(fd, F_OFD_SETLK, F_UNLCK, 0, 0);
}

int main(void) {
    fd = files_open_at(20, "file", O_RDWR | O_CREAT);
    lock_set(fd, F_OFD_SETLK, F_WRLCK, 0, 0);
    struct peer *peer = peer_start(child);

    specimen_ready();
    specimen_wait();

    int other = open("file", O_RDWR | O_CLOEXEC);
    specimen_equal(lock_holder(other, F_WRLCK, 0, 1), -1);
    peer_end(peer);
    specimen_equal(lock_holder(other, F_WRLCK, 0, 1), 0);
    return specimen_pass();
}
