/* specimen: shared memory that one process may write and the other only read | group: memory | needs: nothing */
#include "memory.h"
#include "peer.h"

static char *area;

static void child(struct peer *me) {
    specimen_equal(mprotect(area, 4 * PAGE, PROT_READ), 0);
    peer_turn(me);
    specimen_check(strcmp(memory_area(area).protection, "r--s") == 0);
    specimen_equal(memory_probe(area, 1), SIGSEGV);
    memory_check(area, PAGE, 1);
    memory_check(area + PAGE, PAGE, 2);
    peer_turn(me);
}

int main(void) {
    area = peer_shared(4 * PAGE);
    struct peer *peer = peer_start(child);
    memory_fill(area, PAGE, 1);

    specimen_ready();
    specimen_wait();

    specimen_check(strcmp(memory_area(area).protection, "rw-s") == 0);
    memory_fill(area + PAGE, PAGE, 2);
    peer_step(peer);
    peer_end(peer);
    return specimen_pass();
}
