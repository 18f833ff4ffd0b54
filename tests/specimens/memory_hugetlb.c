/* specimen: explicit huge pages (MAP_HUGETLB), private and shared | group: memory | needs: free huge pages (vm.nr_hugepages) */
#include "memory.h"

static char *huge(int kind) {
    char *area = mmap(NULL, 2 * MIB, PROT_READ | PROT_WRITE, kind | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    if (area == MAP_FAILED) specimen_skip("no huge pages here: %s", strerror(errno));
    return area;
}

int main(void) {
    char *private = huge(MAP_PRIVATE), *shared = huge(MAP_SHARED);
    memory_fill(private, MIB, 1);
    memory_fill(shared, MIB, 2);

    specimen_ready();
    specimen_wait();

    specimen_check(memory_has_flag(private, "ht") && memory_has_flag(shared, "ht"));
    memory_check(private, MIB, 1);
    memory_check_zero(private + MIB, MIB);
    memory_check(shared, MIB, 2);
    memory_fill(private + MIB, MIB, 3);
    memory_check(private + MIB, MIB, 3);
    return specimen_pass();
}
