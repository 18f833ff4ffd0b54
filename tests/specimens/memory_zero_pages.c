/* specimen: pages full of zeros, written and only read | group: memory | needs: nothing */
#include "memory.h"

enum { PAGES = 64 };

int main(void) {
    char *area = memory_anonymous(PAGES * PAGE, PROT_READ | PROT_WRITE);
    memset(area, 1, PAGES / 2 * PAGE);
    memset(area, 0, PAGES / 2 * PAGE);
    memory_check_zero(area + PAGES / 2 * PAGE, PAGES / 2 * PAGE); /* maps the kernel's zero page */
    memory_fill(area + 7 * PAGE, PAGE, 7);

    specimen_ready();
    specimen_wait();

    for (size_t i = 0; i < PAGES; i++) {
        if (i == 7) memory_check(area + i * PAGE, PAGE, 7);
        else memory_check_zero(area + i * PAGE, PAGE);
    }
    /* Equal pages may be stored once, but must not be the same page afterwards. */
    for (size_t i = 0; i < PAGES; i++) memory_fill(area + i * PAGE, PAGE, i + 100);
    for (size_t i = 0; i < PAGES; i++) memory_check(area + i * PAGE, PAGE, i + 100);
    return specimen_pass();
}
