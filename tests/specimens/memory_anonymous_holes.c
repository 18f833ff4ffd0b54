/* specimen: 8 MiB of private anonymous memory, two of three pages never touched | group: memory | needs: nothing */
#include "memory.h"

enum { PAGES = 2048 };

int main(void) {
    char *area = memory_anonymous(PAGES * PAGE, PROT_READ | PROT_WRITE);
    madvise(area, PAGES * PAGE, MADV_NOHUGEPAGE);
    for (size_t i = 0; i < PAGES; i += 3) memory_fill(area + i * PAGE, PAGE, i + 1);
    size_t present = memory_present(area, PAGES);

    specimen_ready();
    specimen_wait();

    /* A hole must stay a hole: pages that nobody touched cost nothing. */
    size_t present_now = memory_present(area, PAGES);
    if (present_now > present + present / 8) specimen_fail("%zu pages present, were %zu", present_now, present);
    for (size_t i = 0; i < PAGES; i++) {
        if (i % 3 == 0) memory_check(area + i * PAGE, PAGE, i + 1);
        else memory_check_zero(area + i * PAGE, PAGE);
    }
    memory_fill(area, PAGES * PAGE, 99);
    memory_check(area, PAGES * PAGE, 99);
    return specimen_pass();
}
