/* specimen: 20,000 allocations of all sizes, freed and made again afterwards | group: memory | needs: nothing */
#include "memory.h"

enum { BLOCKS = 20000 };
static unsigned char *blocks[BLOCKS];

static size_t size_of(int i) { return i % 1000 == 0 ? 200000 + i : 16 + i * 37 % 2000; }

static void take(int i, uint64_t seed) {
    blocks[i] = malloc(size_of(i));
    specimen_check(blocks[i]);
    memory_fill(blocks[i], size_of(i), seed);
}

int main(void) {
    for (int i = 0; i < BLOCKS; i++) take(i, i);
    for (int i = 0; i < BLOCKS; i += 3) free(blocks[i]), blocks[i] = NULL;

    specimen_ready();
    specimen_wait();

    for (int i = 0; i < BLOCKS; i++)
        if (i % 3) memory_check(blocks[i], size_of(i), i);
    for (int i = 0; i < BLOCKS; i += 3) take(i, i + 1);
    for (int i = 0; i < BLOCKS; i++) {
        memory_check(blocks[i], size_of(i), i % 3 ? i : i + 1);
        free(blocks[i]);
    }
    return specimen_pass();
}
