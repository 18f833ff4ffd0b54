/* specimen: 2,000 mappings of one page each | group: memory | needs: nothing */
#include "memory.h"

#ifndef PAGES
#define PAGES 2000
#endif

static int count(char *from, char *to) {
    char line[1024];
    int found = 0;
    FILE *file = fopen("/proc/self/maps", "r");
    specimen_check(file);
    while (fgets(line, sizeof line, file)) {
        unsigned long start = strtoul(line, NULL, 16);
        found += start >= (unsigned long)from && start < (unsigned long)to;
    }
    fclose(file);
    return found;
}

int main(void) {
    /* A page without access at either end, so that no neighbour can become one mapping with ours. */
    char *area = memory_anonymous((PAGES + 2) * PAGE, PROT_NONE) + PAGE;
    specimen_equal(mprotect(area, PAGES * PAGE, PROT_READ | PROT_WRITE), 0);
    for (size_t i = 0; i < PAGES; i++) memory_fill(area + i * PAGE, PAGE, i);
    for (size_t i = 1; i < PAGES; i += 2) specimen_equal(mprotect(area + i * PAGE, PAGE, PROT_READ), 0);
    int before = count(area, area + PAGES * PAGE);
    specimen_equal(before, PAGES);

    specimen_ready();
    specimen_wait();

    specimen_equal(count(area, area + PAGES * PAGE), before);
    for (size_t i = 0; i < PAGES; i++) {
        memory_check(area + i * PAGE, PAGE, i);
        if (i % 2 == 0) memory_fill(area + i * PAGE, PAGE, i + PAGES);
        else if (i % 100 == 1) specimen_equal(memory_probe(area + i * PAGE, 1), SIGSEGV);
    }
    return specimen_pass();
}
