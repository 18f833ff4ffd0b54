/* specimen: every protection from --- to rwx, with content, page by page in one mapping | group: memory | needs: nothing */
#include "memory.h"

enum { PAGES = 64 };

int main(void) {
    char *area = memory_anonymous(PAGES * PAGE, PROT_READ | PROT_WRITE);
    for (int i = 0; i < PAGES; i++) {
        memory_fill(area + i * PAGE, PAGE, i);
        specimen_equal(mprotect(area + i * PAGE, PAGE, i % 8), 0); /* PROT_READ 1, PROT_WRITE 2, PROT_EXEC 4 */
    }

    specimen_ready();
    specimen_wait();

    for (int i = 0; i < PAGES; i++) {
        char *page = area + i * PAGE;
        char expected[] = {i & PROT_READ ? 'r' : '-', i & PROT_WRITE ? 'w' : '-', i & PROT_EXEC ? 'x' : '-', 'p', 0};
        struct memory_area now = memory_area(page);
        if (strcmp(now.protection, expected)) specimen_fail("page %d is %s, not %s", i, now.protection, expected);
        if (i % 8 == PROT_NONE) specimen_equal(memory_probe(page, 0), SIGSEGV);
        if (!(i & PROT_WRITE)) specimen_equal(memory_probe(page, 1), SIGSEGV);
        specimen_equal(mprotect(page, PAGE, PROT_READ | PROT_WRITE), 0);
        memory_check(page, PAGE, i);
    }
    return specimen_pass();
}
