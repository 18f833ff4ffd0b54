/* specimen: heap made by brk: content, and it grows on right behind its end | group: memory | needs: nothing */
#include "memory.h"

int main(void) {
    void *volatile first = malloc(1); /* the allocator takes its own part of the heap now, not behind ours */
    free(first);
    char *area = sbrk(MIB);
    specimen_check(area != (void *)-1);
    memory_fill(area, MIB, 1);

    specimen_ready();
    char *end = sbrk(0);
    specimen_wait();

    specimen_check(sbrk(0) == end);
    memory_check(area, MIB, 1);
    specimen_check(strcmp(memory_area(area).path, "[heap]") == 0);
    specimen_check(sbrk(MIB) == end && sbrk(0) == end + MIB);
    memory_check_zero(end, MIB);
    memory_fill(end, MIB, 2);
    memory_check(area, MIB, 1);
    specimen_check(strcmp(memory_area(end).path, "[heap]") == 0);
    specimen_check(sbrk(-(long)MIB) == end + MIB);
    specimen_equal(memory_probe(end + PAGE, 0), SIGSEGV);
    return specimen_pass();
}
