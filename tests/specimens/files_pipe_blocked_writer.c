/* specimen: child blocked in the middle of a large write to a full pipe | group: files | needs: nothing */
#include "files.h"
#include "peer.h"

#include <sys/syscall.h>

enum { SIZE = 300000 };
static int ends[2];

static void child(struct peer *me) {
    unsigned char *bytes = malloc(SIZE);
    memory_fill(bytes, SIZE, 1);
    close(ends[0]);
    peer_turn(me);
    /* A stop in the middle of a transfer may cut the call short, as pipe(7) allows; it may not fail. */
    for (size_t done = 0; done < SIZE;) {
        ssize_t more = write(ends[1], bytes + done, SIZE - done);
        if (more < 0) specimen_fail("write: %s", strerror(errno));
        done += more;
    }
}

int main(void) {
    specimen_equal(pipe(ends), 0);
    struct peer *peer = peer_start(child);
    close(ends[1]);
    peer_tell(peer);
    while (files_unread(ends[0]) < fcntl(ends[0], F_GETPIPE_SZ)) sched_yield();
    peer_await_call(peer->pid, SYS_write);

    specimen_ready();
    specimen_wait();

    files_expect(ends[0], SIZE, 1, 0);
    char byte;
    specimen_equal(read(ends[0], &byte, 1), 0);
    peer_reap(peer);
    return specimen_pass();
}
