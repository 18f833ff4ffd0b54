/* specimen: memfd that cannot be sealed, and one that can and is not | group: objects | needs: nothing */
#include "files.h"

#include <sys/mman.h>

int main(void) {
    int never = memfd_create("never", 0), open_ = memfd_create("open", MFD_ALLOW_SEALING);
    files_write(never, 10, 1, 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(fcntl(never, F_GET_SEALS), F_SEAL_SEAL);
    files_fails(fcntl(never, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
    specimen_equal(fcntl(open_, F_GET_SEALS), 0);
    specimen_equal(fcntl(open_, F_ADD_SEALS, F_SEAL_GROW), 0);
    files_fails(ftruncate(open_, 1), EPERM);
    return specimen_pass();
}
