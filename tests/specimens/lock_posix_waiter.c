/* specimen: process that waits for a lock of its parent | group: files | needs: nothing */
#include "locks.h"

static int fd;

static void child(struct peer *me) {
    sem_post(&me->done);
    lock_set(fd, F_SETLKW, F_WRLCK, 0, 1);
    specimen_equal(lock_seen_by_child("file", 0).pid, getpid());
}

int main(void) {
    fd = files_open_at(20, "file", O_RDWR | O_CREAT);
    lock_set(fd, F_SETLK, F_WRLCK, 0, 1);
    struct peer *peer = peer_start(child);
    peer_await_call(peer->pid, SYS_fcntl);

    specimen_ready();
    specimen_wait();

    specimen_equal(waitpid(peer->pid, NULL, WNOHANG), 0);
    peer_await_call(peer->pid, SYS_fcntl);
    lock_set(fd, F_SETLK, F_UNLCK, 0, 1);
    peer_reap(peer);
    return specimen_pass();
}
