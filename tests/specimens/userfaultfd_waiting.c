/* specimen: threads that wait for pages: one of which nobody has heard, one that has been heard of | group: memory | needs: root, userfaultfd, bpf */
#include "uffd.h"

int main(void) {
    int fd = uffd_make(O_NONBLOCK, UFFD_FEATURE_THREAD_ID);
    char *area = memory_anonymous(4 * PAGE, PROT_READ | PROT_WRITE);
    specimen_equal(uffd_register(fd, area, 4 * PAGE, UFFDIO_REGISTER_MODE_MISSING), 0);
    char *page = memory_anonymous(PAGE, PROT_READ | PROT_WRITE);
    memory_fill(page, PAGE, 3);
    struct uffd_access heard, unheard;
    uffd_begin(&heard, area, 0);
    uffd_expect(fd, area, 0);
    uffd_begin(&unheard, area + 2 * PAGE, 1);
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    specimen_equal(poll(&entry, 1, 10000), 1);

    specimen_ready();
    specimen_wait();

    /* Whoever is stopped makes his event again, as after any signal. */
    specimen_equal(uffd_copy(fd, area, page, PAGE), 0);
    specimen_equal(uffd_end(&heard), memory_byte(3, 0));
    struct uffd_msg message;
    do message = uffd_next(fd);
    while ((message.arg.pagefault.address & -PAGE) == (uintptr_t)area);
    specimen_equal(message.arg.pagefault.address & -PAGE, (uintptr_t)area + 2 * PAGE);
    specimen_equal(message.arg.pagefault.flags, UFFD_PAGEFAULT_FLAG_WRITE);
    specimen_equal(uffd_copy(fd, area + 2 * PAGE, page, PAGE), 0);
    specimen_equal(uffd_end(&unheard), 'w');
    specimen_equal(memory_present(area, 4), 2);
    return specimen_pass();
}
