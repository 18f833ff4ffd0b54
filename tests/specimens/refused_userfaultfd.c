/* specimen: userfaultfd | group: objects | needs: root, refusal as a userfaultfd */
#include "files.h"

int main(void) {
    int fd = (int)syscall(SYS_userfaultfd, O_NONBLOCK);
    if (fd < 0) specimen_skip("no userfaultfd: %s", strerror(errno));

    specimen_ready();
    specimen_wait();

    char buffer[64];
    files_fails(read(fd, buffer, sizeof buffer), EINVAL);
    return specimen_pass();
}
