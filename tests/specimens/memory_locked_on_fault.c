/* specimen: mlock2 with MLOCK_ONFAULT: untouched pages stay untouched | group: memory | needs: nothing */
#include "memory.h"

int main(void) {
    char *area = memory_anonymous(64 * PAGE, PROT_READ | PROT_WRITE);
    specimen_equal(mlock2(area, 64 * PAGE, MLOCK_ONFAULT), 0);
    memory_fill(area, 4 * PAGE, 1);

    specimen_ready();
    specimen_wait();

    specimen_equal(memory_has_flag(area, "lo"), 1);
    specimen_equal(memory_present(area, 64), 4);
    memory_check(area, 4 * PAGE, 1);
    memory_check_zero(area + 4 * PAGE, 60 * PAGE);
    memory_fill(area, 64 * PAGE, 2);
    memory_check(area, 64 * PAGE, 2);
    return specimen_pass();
}
