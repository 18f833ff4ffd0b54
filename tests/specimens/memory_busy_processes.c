/* specimen: two processes that write in turn to the same memory while they are frozen | group: memory | needs: nothing */
#include "memory.h"
#include "peer.h"

/* The two pass a counter to and fro: A makes it odd, B even, each keeps its last value in its private memory.
 * If the two were saved at different instants, somebody would see a number that does not follow its own. */
struct shared { volatile uint64_t counter; volatile int stop; };
static struct shared *shared;

/* Makes the counter *parity* (0 or 1) whenever the other one has changed it. */
static void play(uint64_t parity) {
    uint64_t last = 0;
    while (!shared->stop) {
        uint64_t now = shared->counter;
        uint64_t expected = now % 2 == parity ? last : last + 1; /* my own number, or the other's answer to it */
        if (last && now != expected)
            specimen_fail("counter is %llu after %llu", (unsigned long long)now, (unsigned long long)last);
        if (now % 2 != parity) shared->counter = last = now + 1;
        else sched_yield();
    }
}

static void odd(struct peer *me) { peer_turn(me), play(1); }
static void even(struct peer *me) { peer_turn(me), play(0); }

int main(void) {
    shared = peer_shared(sizeof *shared);
    struct peer *one = peer_start(odd), *two = peer_start(even);
    peer_tell(one), peer_tell(two);
    while (shared->counter < 1000) sched_yield();

    specimen_ready();
    specimen_wait();

    uint64_t now = shared->counter;
    while (shared->counter < now + 1000) {
        int status;
        if (waitpid(-1, &status, WNOHANG) != 0) specimen_fail("a child ended, status %#x", status);
        sched_yield();
    }
    shared->stop = 1;
    peer_reap(one), peer_reap(two);
    return specimen_pass();
}
