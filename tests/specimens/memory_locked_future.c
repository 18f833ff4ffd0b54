/* specimen: mlockall(MCL_FUTURE): what is mapped afterwards is locked as well | group: memory | needs: nothing */
#include "memory.h"

int main(void) {
    char *before = memory_anonymous(4 * PAGE, PROT_READ | PROT_WRITE);
    memory_fill(before, 4 * PAGE, 1);
    specimen_equal(mlockall(MCL_FUTURE), 0);
    char *after = memory_anonymous(4 * PAGE, PROT_READ | PROT_WRITE);
    memory_fill(after, 4 * PAGE, 2);

    specimen_ready();
    specimen_wait();

    specimen_equal(memory_has_flag(before, "lo"), 0);
    specimen_equal(memory_has_flag(after, "lo"), 1);
    memory_check(before, 4 * PAGE, 1);
    memory_check(after, 4 * PAGE, 2);
    char *later = memory_anonymous(4 * PAGE, PROT_READ | PROT_WRITE);
    specimen_equal(memory_has_flag(later, "lo"), 1);
    specimen_equal(memory_present(later, 4), 4);
    specimen_equal(munlockall(), 0);
    specimen_equal(memory_has_flag(memory_anonymous(3 * PAGE, PROT_READ), "lo"), 0);
    return specimen_pass();
}
