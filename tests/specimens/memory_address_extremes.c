/* specimen: mappings at the lowest and at the highest address a program may have | group: memory | needs: nothing */
#include "memory.h"

static char *at(uintptr_t address) {
    char *got = mmap((void *)address, 4 * PAGE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    specimen_check(got == (char *)address);
    return got;
}

int main(void) {
    /* vm.mmap_min_addr is 64 KiB at most places; the top is one page below 2^47, where the stack may be near. */
    char *low = at(16 * PAGE), *below_4g = at(0xfffff000ul - 4 * PAGE);
    char *high = at((1ul << 47) - 5 * PAGE);
    memory_fill(low, 4 * PAGE, 1);
    memory_fill(below_4g, 4 * PAGE, 2);
    memory_fill(high, 4 * PAGE, 3);

    specimen_ready();
    specimen_wait();

    memory_check(low, 4 * PAGE, 1);
    memory_check(below_4g, 4 * PAGE, 2);
    memory_check(high, 4 * PAGE, 3);
    specimen_equal(munmap(low, 4 * PAGE), 0);
    return specimen_pass();
}
