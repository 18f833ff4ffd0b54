/* specimen: anonymous memory shared by two children, no longer mapped in their parent | group: memory | needs: nothing */
#include "memory.h"
#include "peer.h"

static char *area;

static void writer(struct peer *me) {
    memory_fill(area, PAGE, 1);
    peer_turn(me);
    memory_fill(area + PAGE, PAGE, 2);
    peer_turn(me);
}

static void reader(struct peer *me) {
    memory_check(area, PAGE, 1);
    peer_turn(me);
    memory_check(area, PAGE, 1);
    memory_check(area + PAGE, PAGE, 2);
    peer_turn(me);
}

int main(void) {
    area = peer_shared(4 * PAGE);
    struct peer *one = peer_start(writer), *two = peer_start(reader);
    specimen_equal(munmap(area, 4 * PAGE), 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(memory_probe(area, 0), SIGSEGV);
    peer_step(one);
    peer_step(two);
    peer_end(one);
    peer_end(two);
    return specimen_pass();
}
