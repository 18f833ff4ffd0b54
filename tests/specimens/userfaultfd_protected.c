/* specimen: pages that a userfaultfd protects from writing, one of zeros among them | group: memory | needs: root, userfaultfd, bpf */
#include "uffd.h"

static uint64_t entry_of(void *page) {
    uint64_t entry = 0;
    int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    specimen_equal(pread(fd, &entry, sizeof entry, (uintptr_t)page / PAGE * sizeof entry), sizeof entry);
    close(fd);
    return entry;
}

int main(void) {
    int fd = uffd_make(O_NONBLOCK, UFFD_FEATURE_PAGEFAULT_FLAG_WP);
    char *area = memory_anonymous(16 * PAGE, PROT_READ | PROT_WRITE);
    memory_fill(area, 8 * PAGE, 1);
    specimen_equal(*(volatile char *)(area + 8 * PAGE), 0); /* now a page of zeros is there */
    specimen_equal(uffd_register(fd, area, 16 * PAGE, UFFDIO_REGISTER_MODE_WP), 0);
    specimen_equal(uffd_protect(fd, area + 2 * PAGE, 3 * PAGE, 1), 0);
    specimen_equal(uffd_protect(fd, area + 8 * PAGE, 2 * PAGE, 1), 0); /* of the second there is nothing */

    specimen_ready();
    specimen_wait();

    specimen_check(memory_has_flag(area, "uw"));
    specimen_check(!memory_has_flag(area, "um"));
    for (int i = 0; i < 16; i++) specimen_equal(entry_of(area + i * PAGE) >> 57 & 1, (i >= 2 && i < 5) || i == 8);
    memory_check(area, 8 * PAGE, 1);
    area[0] = area[PAGE] = area[5 * PAGE] = area[9 * PAGE] = 'n';
    uffd_expect_nothing(fd);
    int protected[] = {2, 4, 8};
    for (int i = 0; i < 3; i++) {
        struct uffd_access access;
        char *page = area + protected[i] * PAGE;
        uffd_begin(&access, page, 1);
        uffd_expect(fd, page, UFFD_PAGEFAULT_FLAG_WRITE | UFFD_PAGEFAULT_FLAG_WP);
        specimen_check(*page != 'w');
        specimen_equal(uffd_protect(fd, page, PAGE, 0), 0);
        specimen_equal(uffd_end(&access), 'w');
    }
    specimen_equal(entry_of(area + 3 * PAGE) >> 57 & 1, 1);
    return specimen_pass();
}
