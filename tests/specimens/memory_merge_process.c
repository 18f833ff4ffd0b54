/* specimen: process whose whole memory may be merged with equal pages (PR_SET_MEMORY_MERGE) | group: memory | needs: PR_SET_MEMORY_MERGE (Linux 6.4) */
#include "memory.h"

#include <sys/prctl.h>

/* include/uapi/linux/prctl.h (in v6.4) */
#define SET_MEMORY_MERGE 67
#define GET_MEMORY_MERGE 68

int main(void) {
    if (prctl(SET_MEMORY_MERGE, 1, 0, 0, 0) != 0) specimen_skip("PR_SET_MEMORY_MERGE: %s", strerror(errno));
    char *area = memory_anonymous(8 * PAGE, PROT_READ | PROT_WRITE);
    for (size_t i = 0; i < 8; i++) memory_fill(area + i * PAGE, PAGE, 1);
    specimen_equal(memory_has_flag(area, "mg"), 1);

    specimen_ready();
    specimen_wait();

    specimen_equal(prctl(GET_MEMORY_MERGE, 0, 0, 0, 0), 1);
    specimen_equal(memory_has_flag(area, "mg"), 1);
    for (size_t i = 0; i < 8; i++) memory_check(area + i * PAGE, PAGE, 1);
    specimen_equal(memory_has_flag(memory_anonymous(3 * PAGE, PROT_READ), "mg"), 1);
    return specimen_pass();
}
