/* specimen: forks that have unmapped, moved, protected, emptied and replaced what they had in common, on each side | group: memory | needs: nothing */
#include "memory.h"
#include "peer.h"

enum { CHANGED, UNMAPPED, PROTECTED, EMPTIED, SHRUNK, MOVED, REPLACED, OF_FILE, AREAS };
enum { PAGES = 48, FILE_SEED = 77, ZERO = -1, GONE = -2 };
static char *areas[AREAS], *elsewhere;
static int wanted[AREAS][PAGES]; /* the seed of each page, as this process knows it */

static char *page(int area, int number) { return areas[area] + number * PAGE; }

static void put(int area, int number, int seed) {
    memory_fill(page(area, number), PAGE, seed);
    wanted[area][number] = seed;
}

static void want(int area, int first, int last, int seed) {
    for (int number = first; number < last; number++) wanted[area][number] = seed;
}

static void check_all(void) {
    for (int area = 0; area < AREAS; area++)
        for (int number = 0; number < PAGES; number++) {
            int seed = wanted[area][number];
            if (seed >= 0) memory_check(page(area, number), PAGE, seed);
            if (seed == ZERO) memory_check_zero(page(area, number), PAGE);
            if (seed == GONE) specimen_equal(memory_probe(page(area, number), 0), SIGSEGV);
        }
}

/* Writes to every fifth page from *first* on, so that neighbours differ in which pages they still share. */
static void write_some(int first, int seed) {
    for (int number = first; number < PAGES; number += 5) put(CHANGED, number, seed + number);
    put(OF_FILE, first, seed);
}

static void replace(int first, int last, int kind, int seed) {
    int flags = kind | MAP_FIXED | MAP_ANONYMOUS;
    size_t size = (last - first) * PAGE;
    specimen_check(mmap(page(REPLACED, first), size, PROT_READ | PROT_WRITE, flags, -1, 0) == page(REPLACED, first));
    want(REPLACED, first, last, ZERO);
    put(REPLACED, first + 1, seed);
}

static void change(int own) {
    write_some(own % 5, 1000 * own);
    specimen_equal(munmap(page(UNMAPPED, 8 * own), 8 * PAGE), 0);
    want(UNMAPPED, 8 * own, 8 * own + 8, GONE);
    specimen_equal(mprotect(page(PROTECTED, 0), (own + 5) * PAGE, own % 2 ? PROT_READ : PROT_READ | PROT_EXEC), 0);
    specimen_equal(madvise(page(EMPTIED, own), 20 * PAGE, MADV_DONTNEED), 0);
    want(EMPTIED, own, own + 20, ZERO);
    specimen_equal(munmap(page(SHRUNK, PAGES - own), own * PAGE), 0);
    want(SHRUNK, PAGES - own, PAGES, GONE);
    replace(own, own + 8, MAP_SHARED, 1000 * own);
    replace(20 + own, 28 + own, MAP_PRIVATE, 1000 * own + 1);
    char *there = mremap(areas[MOVED], PAGES * PAGE, PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere);
    specimen_check(there == elsewhere);
    elsewhere = areas[MOVED];
    areas[MOVED] = there;
}

static void use(struct peer *me) {
    peer_turn(me);
    check_all();
    for (int area = 0; area < AREAS; area++)
        for (int number = 0; number < PAGES; number++)
            if (wanted[area][number] >= 0 && area != PROTECTED && area != REPLACED) put(area, number, wanted[area][number] + 1);
    check_all();
}

static void stay(struct peer *me) { use(me); }

static void change_later(struct peer *me) {
    change(2);
    use(me);
}

static void change_and_bear(struct peer *me) {
    change(1);
    struct peer *below = peer_start(stay), *differs = peer_start(change_later);
    write_some(3, 7000);
    peer_turn(me);
    check_all();
    peer_end(below);
    peer_end(differs);
    check_all();
}

int main(void) {
    int fd = memory_file("file", PAGES * PAGE, FILE_SEED);
    for (int area = 0; area < AREAS; area++) {
        int protection = PROT_READ | PROT_WRITE;
        if (area == OF_FILE) areas[area] = memory_map_file(fd, PAGES * PAGE, protection, MAP_PRIVATE, 0);
        else areas[area] = memory_anonymous(PAGES * PAGE, protection);
        for (int number = 0; number < PAGES; number++) put(area, number, 100 * area + number);
    }
    elsewhere = memory_anonymous(PAGES * PAGE, PROT_NONE);
    struct peer *peers[] = {peer_start(stay), peer_start(change_and_bear), peer_start(stay), peer_start(change_later)};
    change(4);
    specimen_equal(munmap(areas[EMPTIED], PAGES * PAGE), 0); /* its children still have it in common */
    want(EMPTIED, 0, PAGES, GONE);

    specimen_ready();
    specimen_wait();

    check_all();
    for (int number = 0; number < 4; number++) peer_end(peers[number]);
    check_all();
    return specimen_pass();
}
