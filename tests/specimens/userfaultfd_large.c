/* specimen: much memory that a userfaultfd gives out, and much besides | group: memory | needs: root, userfaultfd, bpf */
#include "uffd.h"

#define SIZE (8 * MIB)

int main(void) {
    int fd = uffd_make(O_NONBLOCK, UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_UNMAP);
    char *area = memory_anonymous(SIZE, PROT_READ | PROT_WRITE), *other = memory_anonymous(SIZE, PROT_READ | PROT_WRITE);
    memory_fill(other, SIZE, 1);
    specimen_equal(uffd_register(fd, area, SIZE, UFFDIO_REGISTER_MODE_MISSING), 0);
    specimen_equal(uffd_copy(fd, area + MIB, other, 4 * MIB), 0);

    specimen_ready();
    specimen_wait();

    memory_check(other, SIZE, 1);
    memory_check(area + MIB, 4 * MIB, 1);
    specimen_equal(memory_present(area, SIZE / PAGE), 4 * MIB / PAGE);
    uffd_expect_nothing(fd);
    struct uffd_access access;
    uffd_begin(&access, area, 1);
    uffd_expect(fd, area, UFFD_PAGEFAULT_FLAG_WRITE);
    specimen_equal(uffd_zero(fd, area, PAGE), 0);
    specimen_equal(uffd_end(&access), 'w');
    return specimen_pass();
}
