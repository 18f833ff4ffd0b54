/* specimen: the break in the middle of a page, and pages of the heap never touched | group: memory | needs: nothing */
#include "memory.h"

int main(void) {
    void *volatile first = malloc(1); /* as in memory_heap */
    free(first);
    char *area = sbrk(64 * PAGE + 123);
    specimen_check(area != (void *)-1);
    memory_fill(area + 63 * PAGE, PAGE + 123, 1);

    specimen_ready();
    char *end = sbrk(0);
    specimen_wait();

    specimen_check(sbrk(0) == end);
    memory_check_zero(area, 63 * PAGE);
    memory_check(area + 63 * PAGE, PAGE + 123, 1);
    specimen_check(sbrk(1) == end && sbrk(0) == end + 1);
    *end = 'x';
    return specimen_pass();
}
