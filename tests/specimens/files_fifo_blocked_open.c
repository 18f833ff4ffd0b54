/* specimen: child blocked in open of a FIFO that nobody has opened for writing | group: files | needs: nothing */
#include "files.h"
#include "peer.h"

#include <sys/syscall.h>

static void child(struct peer *me) {
    peer_turn(me);
    int fd = open("fifo", O_RDONLY);
    if (fd < 0) specimen_fail("open: %s", strerror(errno));
    files_expect(fd, 100, 1, 0);
}

int main(void) {
    specimen_equal(mkfifo("fifo", 0600), 0);
    struct peer *peer = peer_start(child);
    peer_tell(peer);
    peer_await_call(peer->pid, SYS_openat);

    specimen_ready();
    specimen_wait();

    int fd = open("fifo", O_WRONLY);
    files_write(fd, 100, 1, 0);
    peer_reap(peer);
    return specimen_pass();
}
