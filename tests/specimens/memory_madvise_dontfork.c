/* specimen: memory that a fork leaves out (MADV_DONTFORK) | group: memory | needs: nothing */
#include "memory.h"

static int absent(char *advised) {
    unsigned char present[16];
    return mincore(advised, 16 * PAGE, present) == -1 && errno == ENOMEM;
}

static void use(char *advised) { memory_in_child(advised, absent); }

int main(void) { return memory_madvise_specimen(MADV_DONTFORK, "dc", use); }
