/* specimen: guard regions (MADV_GUARD_INSTALL) between pages with content | group: memory | needs: guard regions (Linux 6.13) */
#include "memory.h"

/* include/uapi/asm-generic/mman-common.h (in v6.13) */
#define GUARD_INSTALL 102
#define GUARD_REMOVE 103

int main(void) {
    char *area = memory_anonymous(16 * PAGE, PROT_READ | PROT_WRITE);
    memory_fill(area, 16 * PAGE, 1);
    if (madvise(area + 4 * PAGE, 2 * PAGE, GUARD_INSTALL) != 0 && errno == EINVAL) specimen_skip("no guard regions");
    specimen_equal(madvise(area + 15 * PAGE, PAGE, GUARD_INSTALL), 0);

    specimen_ready();
    specimen_wait();

    memory_check(area, 4 * PAGE, 1);
    for (size_t i = 0; i < 16; i++) {
        int guarded = i == 4 || i == 5 || i == 15;
        if (memory_probe(area + i * PAGE, 0) != (guarded ? SIGSEGV : 0)) specimen_fail("page %zu", i);
        if (memory_probe(area + i * PAGE + PAGE - 1, 1) != (guarded ? SIGSEGV : 0)) specimen_fail("page %zu", i);
    }
    specimen_equal(madvise(area + 4 * PAGE, 2 * PAGE, GUARD_REMOVE), 0);
    memory_check_zero(area + 4 * PAGE, 2 * PAGE);
    return specimen_pass();
}
