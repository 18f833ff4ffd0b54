/* specimen: shared anonymous memory between parent and child, writes seen both ways | group: memory | needs: nothing */
#include "memory.h"
#include "peer.h"

enum { PAGES = 64 };
static char *area;

static void child(struct peer *me) {
    memory_fill(area + PAGE, PAGE, 11);
    peer_turn(me);
    memory_check(area, PAGE, 1);
    memory_check(area + 2 * PAGE, PAGE, 22);
    memory_fill(area + 3 * PAGE, PAGE, 33);
    peer_turn(me);
}

int main(void) {
    area = peer_shared(PAGES * PAGE);
    memory_fill(area, PAGE, 1);
    struct peer *peer = peer_start(child);

    specimen_ready();
    specimen_wait();

    memory_check(area, PAGE, 1);
    memory_check(area + PAGE, PAGE, 11);
    memory_fill(area + 2 * PAGE, PAGE, 22);
    peer_step(peer);
    memory_check(area + 3 * PAGE, PAGE, 33);
    memory_check_zero(area + 4 * PAGE, (PAGES - 4) * PAGE);
    specimen_check(strcmp(memory_area(area).protection, "rw-s") == 0);
    peer_end(peer);
    return specimen_pass();
}
