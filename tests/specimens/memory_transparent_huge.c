/* specimen: content of transparent huge pages, one of them split by an mprotect | group: memory | needs: nothing */
#include "memory.h"

int main(void) {
    char *area = memory_anonymous(10 * MIB, PROT_READ | PROT_WRITE);
    area = (char *)(((uintptr_t)area + 2 * MIB - 1) & ~(2 * MIB - 1));
    madvise(area, 8 * MIB, MADV_HUGEPAGE); /* EINVAL where the kernel has none: small pages will do */
    memory_fill(area, 6 * MIB, 1);
    specimen_equal(mprotect(area + 2 * MIB + 5 * PAGE, PAGE, PROT_READ), 0);

    specimen_ready();
    specimen_wait();

    memory_check(area, 6 * MIB, 1);
    memory_check_zero(area + 6 * MIB, 2 * MIB);
    specimen_equal(memory_probe(area + 2 * MIB + 5 * PAGE, 1), SIGSEGV);
    memory_fill(area + 6 * MIB, 2 * MIB, 2);
    memory_check(area + 6 * MIB, 2 * MIB, 2);
    return specimen_pass();
}
