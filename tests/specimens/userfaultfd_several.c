/* specimen: neighbouring memory that several userfaultfds watch, each in its own way | group: memory | needs: root, userfaultfd, bpf */
#include "uffd.h"

int main(void) {
    int giver = uffd_make(O_NONBLOCK, 0), watcher = uffd_make(0, UFFD_FEATURE_PAGEFAULT_FLAG_WP);
    int other = uffd_make(O_NONBLOCK, UFFD_FEATURE_SIGBUS);
    char *area = memory_anonymous(9 * PAGE, PROT_READ | PROT_WRITE);
    memory_fill(area + 3 * PAGE, 3 * PAGE, 1);
    specimen_equal(uffd_register(giver, area, 3 * PAGE, UFFDIO_REGISTER_MODE_MISSING), 0);
    specimen_equal(uffd_register(watcher, area + 3 * PAGE, 3 * PAGE, UFFDIO_REGISTER_MODE_WP), 0);
    specimen_equal(uffd_protect(watcher, area + 3 * PAGE, 3 * PAGE, 1), 0);
    specimen_equal(uffd_register(other, area + 6 * PAGE, 3 * PAGE, UFFDIO_REGISTER_MODE_MISSING), 0);
    int again = dup(giver);

    specimen_ready();
    specimen_wait();

    files_fails(uffd_register(watcher, area, 3 * PAGE, UFFDIO_REGISTER_MODE_MISSING), EBUSY);
    files_fails(uffd_register(giver, area + 6 * PAGE, 3 * PAGE, UFFDIO_REGISTER_MODE_MISSING), EBUSY);
    specimen_equal(files_flags(watcher) & O_NONBLOCK, 0);
    struct uffd_access first, second;
    uffd_begin(&first, area + PAGE, 0);
    uffd_expect(again, area + PAGE, 0);
    specimen_equal(uffd_zero(giver, area + PAGE, PAGE), 0);
    specimen_equal(uffd_end(&first), 0);
    uffd_begin(&second, area + 4 * PAGE, 1);
    uffd_expect(watcher, area + 4 * PAGE, UFFD_PAGEFAULT_FLAG_WRITE | UFFD_PAGEFAULT_FLAG_WP);
    specimen_equal(uffd_protect(watcher, area + 4 * PAGE, PAGE, 0), 0);
    specimen_equal(uffd_end(&second), 'w');
    specimen_equal(memory_probe(area + 7 * PAGE, 0), SIGBUS);
    uffd_expect_nothing(other);
    return specimen_pass();
}
