/* specimen: 64 GiB of address space reserved with PROT_NONE, a little of it in use | group: memory | needs: nothing */
#include "memory.h"

static const size_t size = 64ul << 30;

int main(void) {
    char *area = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    specimen_check(area != MAP_FAILED);
    specimen_equal(mprotect(area + (1ul << 30), MIB, PROT_READ | PROT_WRITE), 0);
    memory_fill(area + (1ul << 30), MIB, 1);
    unsigned long before = memory_area(area + (60ul << 30)).end;

    specimen_ready();
    specimen_wait();

    memory_check(area + (1ul << 30), MIB, 1);
    specimen_equal(memory_area(area + (60ul << 30)).end, before);
    specimen_check(strcmp(memory_area(area).protection, "---p") == 0);
    specimen_check(memory_has_flag(area, "nr"));
    specimen_equal(memory_probe(area, 0), SIGSEGV);
    specimen_equal(memory_probe(area + (1ul << 30) + MIB, 0), SIGSEGV);
    specimen_equal(mprotect(area + (40ul << 30), MIB, PROT_READ | PROT_WRITE), 0);
    memory_check_zero(area + (40ul << 30), MIB);
    memory_fill(area + (40ul << 30), MIB, 2);
    memory_check(area + (40ul << 30), MIB, 2);
    return specimen_pass();
}
