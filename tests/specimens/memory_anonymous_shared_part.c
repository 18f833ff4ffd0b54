/* specimen: shared anonymous memory of which the child maps only the second half, elsewhere | group: memory | needs: nothing */
#include "memory.h"
#include "peer.h"

enum { PAGES = 8 };
static char *area;

static void child(struct peer *me) {
    char *half = mremap(area + PAGES / 2 * PAGE, PAGES / 2 * PAGE, PAGES / 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
                        memory_anonymous(PAGES * PAGE, PROT_NONE));
    specimen_check(half != MAP_FAILED);
    specimen_equal(munmap(area, PAGES / 2 * PAGE), 0);
    memory_fill(half, PAGE, 5);
    peer_turn(me);
    specimen_equal(memory_area(half).offset, PAGES / 2 * PAGE);
    specimen_equal(memory_probe(area, 0), SIGSEGV);
    memory_check(half, PAGE, 5);
    memory_check(half + PAGE, PAGE, 6);
    memory_fill(half + 2 * PAGE, PAGE, 7);
    peer_turn(me);
}

int main(void) {
    area = peer_shared(PAGES * PAGE);
    memory_fill(area, PAGE, 1);
    struct peer *peer = peer_start(child);

    specimen_ready();
    specimen_wait();

    memory_check(area, PAGE, 1);
    memory_check(area + 4 * PAGE, PAGE, 5);
    memory_fill(area + 5 * PAGE, PAGE, 6);
    peer_step(peer);
    memory_check(area + 6 * PAGE, PAGE, 7);
    peer_end(peer);
    return specimen_pass();
}
