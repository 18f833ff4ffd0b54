/* specimen: the auxiliary vector: /proc/self/auxv as it was, and it points where the program sees it | group: memory | needs: nothing */
#include "memory.h"

#include <elf.h>
#include <sys/auxv.h>

int main(void) {
    char before[4096], now[4096];
    size_t size = memory_read_proc("/proc/self/auxv", before, sizeof before);
    unsigned char random[16];
    memcpy(random, (void *)getauxval(AT_RANDOM), sizeof random);

    specimen_ready();
    specimen_wait();

    specimen_equal(memory_read_proc("/proc/self/auxv", now, sizeof now), size);
    specimen_equal(memcmp(before, now, size), 0);
    specimen_equal(memcmp(random, (void *)getauxval(AT_RANDOM), sizeof random), 0);
    specimen_check(strlen((char *)getauxval(AT_EXECFN)) > 0);
    for (size_t i = 0; i + sizeof(Elf64_auxv_t) <= size; i += sizeof(Elf64_auxv_t)) {
        Elf64_auxv_t entry;
        memcpy(&entry, now + i, sizeof entry);
        /* glibc answers the AT_HWCAPs from its own knowledge of the CPU */
        if (entry.a_type == AT_NULL || entry.a_type == AT_HWCAP || entry.a_type == AT_HWCAP2) continue;
        specimen_equal(entry.a_un.a_val, getauxval(entry.a_type));
    }
    return specimen_pass();
}
