/* specimen: child blocked in read on an empty pipe | group: files | needs: nothing */
#include "files.h"
#include "peer.h"

#include <sys/syscall.h>

static int ends[2];

static void child(struct peer *me) {
    char bytes[100];
    close(ends[1]);
    peer_turn(me);
    ssize_t got = read(ends[0], bytes, sizeof bytes);
    if (got < 0) specimen_fail("read: %s", strerror(errno));
    specimen_equal(got, 40);
    memory_check(bytes, 40, 1);
    specimen_equal(read(ends[0], bytes, sizeof bytes), 0);
}

int main(void) {
    specimen_equal(pipe(ends), 0);
    struct peer *peer = peer_start(child);
    close(ends[0]);
    peer_tell(peer);
    peer_await_call(peer->pid, SYS_read);

    specimen_ready();
    specimen_wait();

    files_write(ends[1], 40, 1, 0);
    close(ends[1]);
    peer_reap(peer);
    return specimen_pass();
}
