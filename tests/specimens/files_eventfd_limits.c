/* specimen: eventfd at zero and at its greatest count, O_NONBLOCK | group: files | needs: nothing */
#include "files.h"

#include <sys/eventfd.h>

int main(void) {
    int empty = eventfd(0, EFD_NONBLOCK), full = eventfd(0, EFD_NONBLOCK);
    uint64_t value = 0xfffffffffffffffeull;
    specimen_equal(write(full, &value, sizeof value), sizeof value);

    specimen_ready();
    specimen_wait();

    files_fails(read(empty, &value, sizeof value), EAGAIN);
    specimen_equal(files_poll(full), POLLIN);
    value = 1;
    files_fails(write(full, &value, sizeof value), EAGAIN);
    specimen_equal(read(full, &value, sizeof value), sizeof value);
    specimen_check(value == 0xfffffffffffffffeull);
    return specimen_pass();
}
