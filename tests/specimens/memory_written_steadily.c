/* specimen: memory that is written all the time, also what a fork does not carry: all of one instant | group: memory | needs: nothing */
#include "memory.h"

/* Round after round, every slot is given the number of the round. Whoever is given memory of different instants, or
 * loses a page of it, meets a slot that does not hold the number of the round before. */
enum { PRIVATE = 2048, OTHER = 16, KINDS = 4 };
static volatile uint64_t *slots[PRIVATE + KINDS * OTHER];
static size_t count;
static char *emptied; /* by a restart, as by a fork, in the middle of a round */

static void add(char *area, size_t page) { slots[count++] = (uint64_t *)(area + page * PAGE + page * 8 % PAGE); }

static void write_round(uint64_t number) {
    for (size_t i = 0; i < count; i++) {
        uint64_t held = *slots[i]; /* read once: it may be emptied right after that */
        if (held == 0 && (char *)slots[i] >= emptied && (char *)slots[i] < emptied + OTHER * PAGE) held = number - 1;
        if (held != number - 1)
            specimen_fail("slot %zu of round %lu holds %lu", i, (unsigned long)number, (unsigned long)held);
        *slots[i] = number;
    }
}

int main(void) {
    char *private = memory_anonymous(PRIVATE * PAGE, PROT_READ | PROT_WRITE);
    char *other[KINDS] = {
        memory_anonymous(OTHER * PAGE, PROT_READ | PROT_WRITE),
        memory_anonymous(OTHER * PAGE, PROT_READ | PROT_WRITE),
        mmap(NULL, 2 * OTHER * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0),
        memory_anonymous(OTHER * PAGE, PROT_READ | PROT_WRITE),
    };
    specimen_equal(madvise(other[0], OTHER * PAGE, MADV_DONTFORK), 0);
    specimen_equal(madvise(other[1], OTHER * PAGE, MADV_WIPEONFORK), 0);
    emptied = other[1];
    specimen_check(other[2] != MAP_FAILED);
    memory_fill(other[2] + OTHER * PAGE, OTHER * PAGE, 5);
    for (size_t i = 0; i < PRIVATE; i++) {
        add(private, i);
        if (i % (PRIVATE / OTHER) < KINDS) add(other[i % (PRIVATE / OTHER)], i / (PRIVATE / OTHER));
    }
    uint64_t number = 0;
    for (; number < 10; number++) write_round(number + 1);

    specimen_ready();
    specimen_listen();
    while (!specimen_told()) write_round(++number);

    for (int i = 0; i < 10; i++) write_round(++number);
    memory_check(other[2] + OTHER * PAGE, OTHER * PAGE, 5);
    specimen_check(memory_has_flag(other[0], "dc"));
    specimen_check(memory_has_flag(other[1], "wf"));
    return specimen_pass();
}
