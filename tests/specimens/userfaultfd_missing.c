/* specimen: memory that a userfaultfd gives out: pages that are there, of zeros, and missing ones in between | group: memory | needs: root, userfaultfd, bpf */
#include "uffd.h"

#define HUGE (2 * MIB)
#define PAGES (HUGE / PAGE)

int main(void) {
    int fd = uffd_make(O_NONBLOCK, 0);
    char *room = memory_anonymous(2 * HUGE, PROT_READ | PROT_WRITE);
    char *area = (char *)(((uintptr_t)room + HUGE - 1) & -HUGE);
    madvise(area, HUGE, MADV_HUGEPAGE); /* a restart must not fill it with one huge page */
    specimen_equal(uffd_register(fd, area, HUGE, UFFDIO_REGISTER_MODE_MISSING), 0);
    char *page = memory_anonymous(PAGE, PROT_READ | PROT_WRITE);
    for (size_t i = 0; i < PAGES; i += 3) {
        memory_fill(page, PAGE, i + 1);
        specimen_equal(uffd_copy(fd, area + i * PAGE, page, PAGE), 0);
    }
    for (size_t i = 1; i < PAGES; i += 9) specimen_equal(uffd_zero(fd, area + i * PAGE, PAGE), 0);
    memset(page, 0, PAGE);
    specimen_equal(uffd_copy(fd, area + 2 * PAGE, page, PAGE), 0); /* zeros, in a page of its own */

    specimen_ready();
    specimen_wait();

    specimen_check(memory_has_flag(area, "um"));
    specimen_equal(memory_area(area).end - (uintptr_t)area, HUGE);
    for (size_t i = 0; i < PAGES; i++) {
        specimen_equal(memory_present(area + i * PAGE, 1), i % 3 == 0 || i % 9 == 1 || i == 2);
        if (i % 3 == 0) memory_check(area + i * PAGE, PAGE, i + 1);
        if (i % 9 == 1 || i == 2) memory_check_zero(area + i * PAGE, PAGE);
    }
    uffd_expect_nothing(fd);
    struct uffd_access access;
    uffd_begin(&access, area + 5 * PAGE, 0);
    uffd_expect(fd, area + 5 * PAGE, 0);
    memory_fill(page, PAGE, 77);
    specimen_equal(uffd_copy(fd, area + 5 * PAGE, page, PAGE), 0);
    specimen_equal(uffd_end(&access), memory_byte(77, 0));
    close(fd);
    memory_check_zero(area + 4 * PAGE, PAGE);
    return specimen_pass();
}
