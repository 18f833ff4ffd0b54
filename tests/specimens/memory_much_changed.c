/* specimen: 24 MiB that are divided, moved, emptied, unmapped and inherited right after the restart | group: memory | needs: nothing */
#include "memory.h"

enum { PAGES = 6144, PROBE = 64, ZERO = -1, GONE = -2, CHILDREN = 6 };
static char *area;
static int wanted[PAGES]; /* the seed of each page */
static char *place[PAGES]; /* and where it is */
static unsigned state = 1;

static unsigned any(unsigned below) {
    state = state * 1664525 + 1013904223;
    return (state >> 8) % below;
}

static void check(int number) {
    if (wanted[number] >= 0) memory_check(place[number], PROBE, wanted[number]);
    if (wanted[number] == ZERO) memory_check_zero(place[number], PROBE);
}

/* Does something to a few pages that nobody has touched since the restart. */
static void change(void) {
    int first = any(PAGES - 16), count = 1 + any(16), kind = any(6);
    for (int number = first; number < first + count; number++)
        if (wanted[number] == GONE || place[number] != place[first] + (number - first) * PAGE) return;
    char *start = place[first];
    size_t size = count * PAGE;
    if (kind == 0) specimen_equal(mprotect(start, size, PROT_READ), 0);
    if (kind == 1) specimen_equal(madvise(start, size, MADV_DONTNEED), 0);
    if (kind == 2) specimen_equal(munmap(start, size), 0);
    if (kind == 3) {
        char *free = memory_anonymous(size, PROT_NONE);
        for (int number = 0; number < count; number++) { /* one by one: they may be in mappings of their own by now */
            char *to = free + number * PAGE;
            char *moved = mremap(place[first + number], PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
            specimen_check(moved == to);
            place[first + number] = moved;
        }
    }
    if (kind == 4) {
        specimen_equal(mprotect(start, size, PROT_READ | PROT_WRITE), 0);
        start[0] ^= 1; /* a page that is written to before it is read */
        specimen_equal(wanted[first] >= 0 ? start[0] ^ 1 ^ (char)memory_byte(wanted[first], 0) : start[0] ^ 1, 0);
        start[0] ^= 1;
    }
    if (kind == 5) check(first);
    for (int number = first; number < first + count; number++) {
        if (kind == 1) wanted[number] = ZERO;
        if (kind == 2) wanted[number] = GONE;
    }
}

static int child(int seed) {
    state = seed;
    for (int i = 0; i < 60; i++) change();
    for (int number = 0; number < PAGES; number++) check(number);
    return 0;
}

int main(void) {
    area = memory_anonymous(PAGES * PAGE, PROT_READ | PROT_WRITE);
    for (int number = 0; number < PAGES; number++) {
        place[number] = area + number * PAGE;
        wanted[number] = number % 7 == 3 ? ZERO : number;
        if (wanted[number] >= 0) memory_fill(place[number], PROBE, number);
    }

    specimen_ready();
    specimen_wait();

    pid_t children[CHILDREN];
    for (int number = 0; number < CHILDREN; number++) {
        for (int i = 0; i < 20; i++) change();
        children[number] = fork();
        specimen_check(children[number] >= 0);
        if (children[number] == 0) _exit(child(number + 2));
    }
    for (int i = 0; i < 60; i++) change();
    for (int number = 0; number < CHILDREN; number++) {
        int status;
        specimen_equal(waitpid(children[number], &status, 0), children[number]);
        specimen_equal(status, 0);
    }
    for (int number = 0; number < PAGES; number++) check(number);
    return specimen_pass();
}
