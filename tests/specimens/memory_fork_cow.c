/* specimen: pages that parent and child have in common since the fork, written by each later | group: memory | needs: nothing */
#include "memory.h"
#include "peer.h"

enum { PAGES = 512 };
static char *area;

static void child(struct peer *me) {
    for (size_t i = 0; i < PAGES; i += 8) memory_fill(area + i * PAGE, PAGE, i + 1000);
    peer_turn(me);
    for (size_t i = 0; i < PAGES; i++) memory_check(area + i * PAGE, PAGE, i % 8 ? i : i + 1000);
    memory_fill(area, PAGES * PAGE, 77);
    peer_turn(me);
    memory_check(area, PAGES * PAGE, 77);
}

int main(void) {
    area = memory_anonymous(PAGES * PAGE, PROT_READ | PROT_WRITE);
    for (size_t i = 0; i < PAGES; i++) memory_fill(area + i * PAGE, PAGE, i);
    struct peer *peer = peer_start(child);

    specimen_ready();
    specimen_wait();

    for (size_t i = 0; i < PAGES; i++) memory_check(area + i * PAGE, PAGE, i);
    memory_fill(area + PAGE, PAGE, 5000);
    peer_step(peer);
    for (size_t i = 0; i < PAGES; i++) memory_check(area + i * PAGE, PAGE, i == 1 ? 5000 : i);
    memory_fill(area, PAGES * PAGE, 88);
    peer_end(peer);
    memory_check(area, PAGES * PAGE, 88);
    return specimen_pass();
}
