/* specimen: pidfd of a process outside the tree | group: objects | needs: nothing */
#include "pidfd.h"

int main(void) {
    int fd = pidfd_new(1, 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(pidfd_is_over(fd), 0);
    specimen_check(pidfd_kill(fd, 0) == 0 || errno == EPERM);
    return specimen_pass();
}
