/* specimen: process that waits for a flock | group: files | needs: nothing */
#include "locks.h"

static void child(struct peer *me) {
    int fd = open("file", O_RDWR);
    sem_post(&me->done);
    specimen_equal(flock(fd, LOCK_EX), 0);
}

int main(void) {
    int fd = files_open_at(20, "file", O_RDWR | O_CREAT | O_CLOEXEC);
    specimen_equal(flock(fd, LOCK_EX), 0);
    struct peer *peer = peer_start(child);
    peer_await_call(peer->pid, SYS_flock);

    specimen_ready();
    specimen_wait();

    specimen_equal(waitpid(peer->pid, NULL, WNOHANG), 0);
    specimen_equal(flock(fd, LOCK_UN), 0);
    peer_reap(peer);
    return specimen_pass();
}
