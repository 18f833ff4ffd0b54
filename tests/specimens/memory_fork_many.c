/* specimen: twelve children that share most of 4 MiB with their parent and each other, all of whom have written to some of it | group: memory | needs: nothing */
#include "memory.h"
#include "peer.h"

enum { COUNT = 12, PAGES = 1024 };
static uint64_t *area;
static int own; /* number of the child, 0 in the parent */

static uint64_t *page(int number) { return area + number * (PAGE / sizeof *area); }

static int is_mine(int number) { return own ? number % 64 == 7 : number % 8 == 1; }

static void write_mine(void) {
    for (int number = 0; number < PAGES; number++)
        if (is_mine(number)) *page(number) = 1000000 + 10000 * own + number;
}

static void check_all(void) {
    for (int number = 0; number < PAGES; number++) {
        specimen_equal(*page(number), is_mine(number) ? 1000000 + 10000 * own + number : number + 1);
        memory_check(page(number) + 1, 64, number);
    }
}

static void child(struct peer *me) {
    write_mine();
    peer_turn(me);
    check_all();
}

int main(void) {
    area = memory_anonymous(PAGES * PAGE, PROT_READ | PROT_WRITE);
    for (int number = 0; number < PAGES; number++) {
        *page(number) = number + 1;
        memory_fill(page(number) + 1, 64, number);
    }
    struct peer *peers[COUNT];
    for (int number = 0; number < COUNT; number++) {
        own = number + 1;
        peers[number] = peer_start(child);
    }
    own = 0;
    write_mine();

    specimen_ready();
    specimen_wait();

    check_all();
    for (int number = 0; number < COUNT; number++) peer_end(peers[number]);
    return specimen_pass();
}
