/* specimen: 1 GiB of private anonymous memory with one page in 16 MiB touched | group: memory | needs: nothing */
#include "memory.h"

enum { STEPS = 64 };
static const size_t step = 16 * MIB;

int main(void) {
    char *area = memory_anonymous(STEPS * step, PROT_READ | PROT_WRITE);
    madvise(area, STEPS * step, MADV_NOHUGEPAGE);
    for (size_t i = 0; i < STEPS; i++) memory_fill(area + i * step, PAGE, i + 7);

    specimen_ready();
    specimen_wait();

    unsigned long rss = memory_area(area).rss;
    if (rss > 2 * STEPS * PAGE / 1024) specimen_fail("%lu KiB resident for %d pages", rss, STEPS);
    for (size_t i = 0; i < STEPS; i++) {
        memory_check(area + i * step, PAGE, i + 7);
        memory_check_zero(area + i * step + PAGE, PAGE);
    }
    return specimen_pass();
}
