/* specimen: secret memory | group: objects | needs: refusal as secret memory */
#include "files.h"

int main(void) {
    int fd = (int)syscall(447, 0);
    if (fd < 0) specimen_skip("no memfd_secret: %s", strerror(errno));

    specimen_ready();
    specimen_wait();

    specimen_equal(ftruncate(fd, 4096), 0);
    return specimen_pass();
}
