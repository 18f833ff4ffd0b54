/* specimen: memory that a fork empties in the child, and a restart in everybody (MADV_WIPEONFORK) | group: memory | needs: nothing */
#include "memory.h"

static int wiped(char *advised) { return memory_nonzero(advised, 16 * PAGE) == -1; }

/* Nobody tells a specimen whether it is the original, which keeps it, or has been restarted. */
static void use(char *advised) {
    if (!wiped(advised)) memory_check(advised, 16 * PAGE, 1);
    memory_fill(advised, 16 * PAGE, 2);
    memory_in_child(advised, wiped);
    memory_check(advised, 16 * PAGE, 2);
}

int main(void) { return memory_madvise_specimen(MADV_WIPEONFORK, "wf", use); }
