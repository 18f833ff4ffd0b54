/* specimen: System V shared memory of huge pages | group: objects | needs: root, free huge pages (vm.nr_hugepages) */
#include "sysv.h"

#define HUGE (2 << 20)

int main(void) {
    sysv_namespace();
    int id = shmget(IPC_PRIVATE, HUGE, IPC_CREAT | SHM_HUGETLB | 0600);
    if (id < 0) specimen_skip("no huge pages: sysctl vm.nr_hugepages=4");
    char *area = sysv_attach(id, 0);
    memory_fill(area, HUGE, 2);

    specimen_ready();
    specimen_wait();

    memory_check(area, HUGE, 2);
    specimen_equal(mprotect(area, 4096, PROT_READ), -1); /* they cannot be split */
    specimen_equal(shmdt(area), 0);
    return specimen_pass();
}
