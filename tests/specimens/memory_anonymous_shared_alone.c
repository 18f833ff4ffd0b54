/* specimen: shared anonymous memory in one process only, shared with the child it has later | group: memory | needs: nothing */
#include "memory.h"
#include "peer.h"

static char *area;

static void child(struct peer *me) {
    memory_check(area, 4 * PAGE, 1);
    memory_fill(area + PAGE, PAGE, 11);
    peer_turn(me);
}

int main(void) {
    area = peer_shared(16 * PAGE);
    memory_fill(area, 4 * PAGE, 1);

    specimen_ready();
    specimen_wait();

    memory_check(area, 4 * PAGE, 1);
    struct peer *peer = peer_start(child);
    memory_check(area + PAGE, PAGE, 11);
    peer_end(peer);
    return specimen_pass();
}
