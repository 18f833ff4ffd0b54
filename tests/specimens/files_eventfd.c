/* specimen: eventfd with a count, shared by dup | group: files | needs: nothing */
#include "files.h"

#include <sys/eventfd.h>

int main(void) {
    int fd = eventfd(5, EFD_CLOEXEC), twin = dup(fd);
    uint64_t value = 1000000000000ull;
    specimen_equal(write(fd, &value, sizeof value), sizeof value);

    specimen_ready();
    specimen_wait();

    specimen_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    specimen_equal(files_flags(fd), O_RDWR);
    value = 7;
    specimen_equal(write(twin, &value, sizeof value), sizeof value);
    specimen_equal(read(fd, &value, sizeof value), sizeof value);
    specimen_equal(value, 1000000000012ull);
    specimen_equal(files_poll(twin), POLLOUT);
    return specimen_pass();
}
