/* specimen: many pages with the same content, each written on its own later | group: memory | needs: nothing */
#include "memory.h"

enum { PAGES = 512 };

int main(void) {
    char *one = memory_anonymous(PAGES * PAGE, PROT_READ | PROT_WRITE);
    char *two = memory_anonymous(PAGES * PAGE, PROT_READ | PROT_WRITE);
    for (size_t i = 0; i < PAGES; i++) memory_fill(one + i * PAGE, PAGE, 5), memory_fill(two + i * PAGE, PAGE, 5);

    specimen_ready();
    specimen_wait();

    for (size_t i = 0; i < PAGES; i += 2) memory_fill(one + i * PAGE, PAGE, i + 10);
    for (size_t i = 0; i < PAGES; i++) {
        memory_check(one + i * PAGE, PAGE, i % 2 ? 5 : i + 10);
        memory_check(two + i * PAGE, PAGE, 5);
    }
    return specimen_pass();
}
