/* specimen: mlock on the middle of a mapping | group: memory | needs: nothing */
#include "memory.h"

int main(void) {
    char *area = memory_anonymous(64 * PAGE, PROT_READ | PROT_WRITE);
    memory_fill(area, 64 * PAGE, 1);
    specimen_equal(mlock(area + 16 * PAGE, 16 * PAGE), 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(memory_has_flag(area, "lo"), 0);
    specimen_equal(memory_has_flag(area + 16 * PAGE, "lo"), 1);
    specimen_equal(memory_has_flag(area + 31 * PAGE, "lo"), 1);
    specimen_equal(memory_has_flag(area + 32 * PAGE, "lo"), 0);
    specimen_equal(memory_present(area + 16 * PAGE, 16), 16);
    memory_check(area, 64 * PAGE, 1);
    specimen_equal(munlock(area + 16 * PAGE, 16 * PAGE), 0);
    specimen_equal(memory_has_flag(area + 16 * PAGE, "lo"), 0);
    return specimen_pass();
}
