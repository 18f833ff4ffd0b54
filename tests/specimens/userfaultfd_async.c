/* specimen: a program that lets the kernel note which pages it writes (UFFD_FEATURE_WP_ASYNC) | group: memory | needs: root, userfaultfd, bpf */
#include "uffd.h"

static int is_marked(void *page) {
    uint64_t entry = 0;
    int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    specimen_equal(pread(fd, &entry, sizeof entry, (uintptr_t)page / PAGE * sizeof entry), sizeof entry);
    close(fd);
    return entry >> 57 & 1;
}

int main(void) {
    int fd = uffd_make(O_NONBLOCK, UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED);
    char *area = memory_anonymous(8 * PAGE, PROT_READ | PROT_WRITE);
    memory_fill(area, 8 * PAGE, 4);
    specimen_equal(uffd_register(fd, area, 8 * PAGE, UFFDIO_REGISTER_MODE_WP), 0);
    specimen_equal(uffd_protect(fd, area, 8 * PAGE, 1), 0);
    ((volatile char *)area)[3 * PAGE] = area[3 * PAGE];
    for (int i = 0; i < 8; i++) specimen_equal(is_marked(area + i * PAGE), i != 3);

    specimen_ready();
    specimen_wait();

    for (int i = 0; i < 8; i++) specimen_equal(is_marked(area + i * PAGE), i != 3);
    memory_check(area, 8 * PAGE, 4);
    area[5 * PAGE] = 'w';
    specimen_equal(is_marked(area + 5 * PAGE), 0);
    specimen_equal(is_marked(area + 4 * PAGE), 1);
    specimen_equal(uffd_protect(fd, area + 3 * PAGE, PAGE, 1), 0);
    specimen_equal(is_marked(area + 3 * PAGE), 1);
    return specimen_pass();
}
