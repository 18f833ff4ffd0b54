/* specimen: MAP_NORESERVE memory with content, and memory that is accounted for | group: memory | needs: nothing */
#include "memory.h"

int main(void) {
    char *free_area = mmap(NULL, 16 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    specimen_check(free_area != MAP_FAILED);
    char *accounted = memory_anonymous(16 * MIB, PROT_READ | PROT_WRITE);
    memory_fill(free_area + MIB, PAGE, 1);
    memory_fill(accounted + MIB, PAGE, 2);
    int no_reserve = memory_has_flag(free_area, "nr"); /* absent where vm.overcommit_memory is 2 */

    specimen_ready();
    specimen_wait();

    specimen_equal(memory_has_flag(free_area, "nr"), no_reserve);
    specimen_equal(memory_has_flag(accounted, "nr"), 0);
    specimen_equal(memory_has_flag(accounted, "ac"), 1);
    memory_check(free_area + MIB, PAGE, 1);
    memory_check(accounted + MIB, PAGE, 2);
    return specimen_pass();
}
