/* specimen: sealed memory (mseal): can neither be unmapped nor protected otherwise | group: memory | needs: mseal (Linux 6.10) */
#include "memory.h"

#include <sys/syscall.h>

#define SYS_MSEAL 462 /* the same on every machine */

int main(void) {
    char *area = memory_anonymous(12 * PAGE, PROT_READ | PROT_WRITE);
    memory_fill(area, 12 * PAGE, 1);
    specimen_equal(mprotect(area + 4 * PAGE, 4 * PAGE, PROT_READ), 0);
    if (syscall(SYS_MSEAL, area + 4 * PAGE, 4 * PAGE, 0) != 0) specimen_skip("no mseal here: %s", strerror(errno));

    specimen_ready();
    specimen_wait();

    memory_check(area, 12 * PAGE, 1);
    specimen_equal(munmap(area + 4 * PAGE, PAGE), -1);
    specimen_equal(errno, EPERM);
    specimen_equal(mprotect(area + 4 * PAGE, PAGE, PROT_READ | PROT_WRITE), -1);
    specimen_equal(errno, EPERM);
    specimen_equal(memory_has_flag(area + 4 * PAGE, "sl"), 1);
    specimen_equal(memory_has_flag(area, "sl"), 0);
    specimen_equal(munmap(area, 4 * PAGE), 0);
    return specimen_pass();
}
