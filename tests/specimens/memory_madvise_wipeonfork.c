/* specimen: memory that a fork empties in the child (MADV_WIPEONFORK) | group: memory | needs: nothing */
#include "memory.h"

static int wiped(char *advised) { return memory_nonzero(advised, 16 * PAGE) == -1; }

static void use(char *advised) {
    memory_in_child(advised, wiped);
    memory_check(advised, 16 * PAGE, 1);
}

int main(void) { return memory_madvise_specimen(MADV_WIPEONFORK, "wf", use); }
