/* specimen: a userfaultfd of which nothing has been asked yet, and one for faults of programs only | group: objects | needs: root, userfaultfd, bpf */
#include "uffd.h"

int main(void) {
    int fresh = (int)syscall(SYS_userfaultfd, O_NONBLOCK);
    if (fresh < 0) specimen_skip("no userfaultfd: %s", strerror(errno));
    int own = uffd_make(O_NONBLOCK | UFFD_USER_MODE_ONLY, 0);
    char *area = memory_anonymous(PAGE, PROT_READ | PROT_WRITE);
    specimen_equal(uffd_register(own, area, PAGE, UFFDIO_REGISTER_MODE_MISSING), 0);
    int zero = open("/dev/zero", O_RDONLY);

    specimen_ready();
    specimen_wait();

    char buffer[64];
    files_fails(read(fresh, buffer, sizeof buffer), EINVAL);
    struct uffdio_api api = {.api = UFFD_API, .features = 0};
    specimen_equal(ioctl(fresh, UFFDIO_API, &api), 0);
    files_fails(read(fresh, buffer, sizeof buffer), EAGAIN);
    files_fails(uffd_register(fresh, area, PAGE, UFFDIO_REGISTER_MODE_MISSING), EBUSY);
    files_fails(read(zero, area, 1), EFAULT); /* a fault within a call, of which nobody is to be told */
    uffd_expect_nothing(own);
    specimen_equal(fcntl(own, F_GETFD), FD_CLOEXEC);
    specimen_equal(fcntl(fresh, F_GETFD), 0);
    return specimen_pass();
}
