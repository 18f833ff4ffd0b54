/* specimen: memory of which a userfaultfd gives out pages and protects them, also where there are none | group: memory | needs: root, userfaultfd, bpf */
#include "uffd.h"

int main(void) {
    int fd = uffd_make(O_NONBLOCK, UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_UNPOPULATED);
    char *area = memory_anonymous(16 * PAGE, PROT_READ | PROT_WRITE);
    specimen_equal(uffd_register(fd, area, 8 * PAGE, UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP), 0);
    specimen_equal(uffd_register(fd, area + 8 * PAGE, 8 * PAGE, UFFDIO_REGISTER_MODE_WP), 0);
    char *page = memory_anonymous(PAGE, PROT_READ | PROT_WRITE);
    memory_fill(page, PAGE, 5);
    specimen_equal(uffd_copy(fd, area + PAGE, page, PAGE), 0);
    memory_fill(area + 9 * PAGE, PAGE, 6);
    specimen_equal(uffd_protect(fd, area, 4 * PAGE, 1), 0);
    specimen_equal(uffd_protect(fd, area + 8 * PAGE, 4 * PAGE, 1), 0);

    specimen_ready();
    specimen_wait();

    memory_check(area + PAGE, PAGE, 5);
    memory_check(area + 9 * PAGE, PAGE, 6);
    memory_check_zero(area + 12 * PAGE, PAGE);
    area[12 * PAGE] = 'n';
    uffd_expect_nothing(fd);
    int faults[] = {1, 9, 10};
    for (int i = 0; i < 3; i++) {
        struct uffd_access access;
        char *at = area + faults[i] * PAGE;
        uffd_begin(&access, at, 1);
        uffd_expect(fd, at, UFFD_PAGEFAULT_FLAG_WRITE | UFFD_PAGEFAULT_FLAG_WP);
        specimen_equal(uffd_protect(fd, at, PAGE, 0), 0);
        specimen_equal(uffd_end(&access), 'w');
    }
    int missing[] = {0, 2, 5};
    for (int i = 0; i < 3; i++) {
        struct uffd_access access;
        char *at = area + missing[i] * PAGE;
        uffd_begin(&access, at, 0);
        uffd_expect(fd, at, 0);
        specimen_equal(uffd_copy(fd, at, page, PAGE), 0);
        specimen_equal(uffd_end(&access), memory_byte(5, 0));
    }
    return specimen_pass();
}
