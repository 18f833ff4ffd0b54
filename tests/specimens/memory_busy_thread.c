/* specimen: a thread that writes all over 4 MiB while it is frozen: one consistent instant | group: memory | needs: nothing */
#include "memory.h"

#include <pthread.h>

/* The sum of all cells stays the same but for the one unit in the thread's hand; every turn writes the
 * number of the turn first to one end, then to the other. A copy made while the thread runs breaks both. */
enum { CELLS = 512 * 1024 };
static volatile uint64_t *cells;
static volatile uint64_t turn_first, turn_last;
static volatile int stop, running;

static void *run(void *unused) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    uint64_t random = 88172645463325252ull;
    for (uint64_t turn = 1; !stop; turn++) {
        if (turn_first != turn_last) specimen_fail("turn %llu tore", (unsigned long long)turn);
        turn_first = turn;
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        volatile uint64_t *from = &cells[random % CELLS], *to = &cells[(random >> 32) % CELLS];
        uint64_t hand = *from > 0;
        *from -= hand;
        *to += hand;
        turn_last = turn;
        running = 1;
    }
    return unused;
}

int main(void) {
    cells = memory_anonymous(CELLS * sizeof *cells, PROT_READ | PROT_WRITE);
    for (size_t i = 0; i < CELLS; i++) cells[i] = 100;
    pthread_t thread;
    specimen_equal(pthread_create(&thread, NULL, run, NULL), 0);
    while (!running) {}

    specimen_ready();
    specimen_wait();

    running = 0;
    while (!running) {}
    stop = 1;
    specimen_equal(pthread_join(thread, NULL), 0);
    uint64_t sum = 0;
    for (size_t i = 0; i < CELLS; i++) sum += cells[i];
    specimen_equal(sum, CELLS * 100ull);
    specimen_equal(turn_first, turn_last);
    return specimen_pass();
}
