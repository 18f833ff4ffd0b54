/* specimen: locks of several processes on one file, by a shared description | group: files | needs: nothing */
#include "locks.h"

static int fd;

static void child(struct peer *me) {
    lock_set(fd, F_SETLK, F_WRLCK, 10, 10);
    peer_turn(me);
    specimen_equal(lock_holder(fd, F_WRLCK, 0, 10), getppid());
    specimen_equal(lock_holder(fd, F_WRLCK, 10, 10), 0);
}

int main(void) {
    fd = files_open_at(20, "file", O_RDWR | O_CREAT);
    lock_set(fd, F_SETLK, F_WRLCK, 0, 10);
    struct peer *peer = peer_start(child);

    specimen_ready();
    specimen_wait();

    specimen_equal(lock_holder(fd, F_WRLCK, 10, 10), peer->pid);
    specimen_equal(lock_seen_by_child("file", 0).pid, getpid());
    peer_end(peer);
    specimen_equal(lock_holder(fd, F_WRLCK, 10, 10), 0);
    return specimen_pass();
}
