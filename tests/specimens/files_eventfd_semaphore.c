/* specimen: eventfd in semaphore mode | group: files | needs: nothing */
#include "files.h"

#include <sys/eventfd.h>

int main(void) {
    int fd = eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK);
    specimen_check(fd >= 0);

    specimen_ready();
    specimen_wait();

    uint64_t value;
    for (int i = 0; i < 3; i++) {
        specimen_equal(read(fd, &value, sizeof value), sizeof value);
        specimen_equal(value, 1);
    }
    files_fails(read(fd, &value, sizeof value), EAGAIN);
    return specimen_pass();
}
