/* specimen: child blocked in read of an eventfd that it shares with its parent | group: files | needs: nothing */
#include "files.h"
#include "peer.h"

#include <sys/eventfd.h>
#include <sys/syscall.h>

static int fd;

static void child(struct peer *me) {
    peer_turn(me);
    uint64_t value;
    ssize_t got = read(fd, &value, sizeof value);
    if (got < 0) specimen_fail("read: %s", strerror(errno));
    specimen_equal(value, 42);
}

int main(void) {
    fd = eventfd(0, 0);
    struct peer *peer = peer_start(child);
    peer_tell(peer);
    peer_await_call(peer->pid, SYS_read);

    specimen_ready();
    specimen_wait();

    uint64_t value = 42;
    specimen_equal(write(fd, &value, sizeof value), sizeof value);
    peer_reap(peer);
    return specimen_pass();
}
