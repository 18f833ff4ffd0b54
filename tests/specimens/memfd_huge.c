/* specimen: memfd of huge pages (MFD_HUGETLB), with a hole | group: memory | needs: free huge pages (vm.nr_hugepages) */
#include "memory.h"

int main(void) {
    int fd = memfd_create("huge", MFD_HUGETLB | MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, 4 * MIB)) specimen_skip("no huge pages here: %s", strerror(errno));
    char *area = mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (area == MAP_FAILED) specimen_skip("no huge pages here: %s", strerror(errno));
    memory_fill(area + 2 * MIB, MIB, 1);

    specimen_ready();
    specimen_wait();

    specimen_check(memory_has_flag(area, "ht"));
    memory_check_zero(area, 2 * MIB);
    memory_check(area + 2 * MIB, MIB, 1);
    specimen_equal(ftruncate(fd, 2 * MIB), 0);
    return specimen_pass();
}
