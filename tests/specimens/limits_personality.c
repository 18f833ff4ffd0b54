/* specimen: personality flags: no randomization, and a child whose readable mappings become executable | group: limits | needs: nothing */
#include "memory.h"
#include "peer.h"
#include "task.h"

#include <sys/personality.h>

static unsigned long flags(void) { return (unsigned long)personality(0xffffffff); }

/* Mappings from before the flag must not become executable by being mapped again under it. */
static void child(struct peer *me) {
    char *before = memory_anonymous(PAGE, PROT_READ);
    specimen_check(personality(READ_IMPLIES_EXEC) >= 0);
    peer_turn(me);
    specimen_equal(flags(), READ_IMPLIES_EXEC);
    char *after = memory_anonymous(PAGE, PROT_READ);
    specimen_equal_text(memory_area(before).protection, "r--p");
    specimen_equal_text(memory_area(after).protection, "r-xp");
}

int main(void) {
    unsigned long wanted = ADDR_NO_RANDOMIZE | SHORT_INODE | UNAME26;
    struct peer *peer = peer_start(child);
    specimen_check(personality(wanted) >= 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(flags(), wanted);
    peer_end(peer);
    return specimen_pass();
}
