/* specimen: coredump_filter of root and child | group: limits | needs: nothing */
#include "peer.h"
#include "task.h"

static void expect(long wanted) {
    char found[64];
    task_read("/proc/self/coredump_filter", found, sizeof found);
    specimen_equal(strtol(found, NULL, 16), wanted);
}

static void child(struct peer *me) {
    task_write("/proc/self/coredump_filter", "0x1");
    peer_turn(me);
    expect(0x1);
}

int main(void) {
    task_write("/proc/self/coredump_filter", "0x7a");
    struct peer *peer = peer_start(child);

    specimen_ready();
    specimen_wait();

    expect(0x7a);
    peer_end(peer);
    return specimen_pass();
}
