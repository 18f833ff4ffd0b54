/* specimen: shared memory of which a userfaultfd lets pages appear that are there (minor faults) | group: memory | needs: root, userfaultfd, bpf */
#include "uffd.h"

static void let_appear(int fd, void *page) {
    struct uffdio_continue range = {.range = {(uintptr_t)page, PAGE}};
    specimen_equal(ioctl(fd, UFFDIO_CONTINUE, &range), 0);
}

int main(void) {
    int fd = uffd_make(O_NONBLOCK, UFFD_FEATURE_MINOR_SHMEM);
    int file = memfd_create("minor", MFD_CLOEXEC);
    specimen_equal(ftruncate(file, 8 * PAGE), 0);
    char *back = memory_map_file(file, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
    char *area = memory_map_file(file, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
    memory_fill(back, 4 * PAGE, 1);
    uint64_t mode = UFFDIO_REGISTER_MODE_MINOR | UFFDIO_REGISTER_MODE_MISSING;
    specimen_equal(uffd_register(fd, area, 8 * PAGE, mode), 0);
    let_appear(fd, area + PAGE);

    specimen_ready();
    specimen_wait();

    specimen_equal(memcmp(area + PAGE, back + PAGE, PAGE), 0);
    specimen_equal(memory_difference(back, 4 * PAGE, 1), -1);
    uffd_expect_nothing(fd);
    struct uffd_access access;
    uffd_begin(&access, area + 2 * PAGE, 0);
    uffd_expect(fd, area + 2 * PAGE, UFFD_PAGEFAULT_FLAG_MINOR);
    let_appear(fd, area + 2 * PAGE);
    specimen_equal(uffd_end(&access), (unsigned char)back[2 * PAGE]);
    uffd_begin(&access, area + 6 * PAGE, 1);
    uffd_expect(fd, area + 6 * PAGE, UFFD_PAGEFAULT_FLAG_WRITE);
    specimen_equal(uffd_zero(fd, area + 6 * PAGE, PAGE), 0);
    specimen_equal(uffd_end(&access), 'w');
    specimen_equal(back[6 * PAGE], 'w');
    return specimen_pass();
}
