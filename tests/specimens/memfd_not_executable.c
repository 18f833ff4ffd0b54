/* specimen: memfd that can never be executed (MFD_NOEXEC_SEAL), and one that can | group: objects | needs: MFD_NOEXEC_SEAL */
#include "files.h"

#include <sys/mman.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#define MFD_EXEC 16u
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x20
#endif

int main(void) {
    int never = memfd_create("data", MFD_NOEXEC_SEAL), program = memfd_create("program", MFD_EXEC);
    if (never < 0) specimen_skip("no MFD_NOEXEC_SEAL");

    specimen_ready();
    specimen_wait();

    specimen_equal(fcntl(never, F_GET_SEALS), F_SEAL_EXEC);
    specimen_equal(files_stat(never).st_mode & 0777, 0666);
    files_fails(fchmod(never, 0777), EPERM);
    specimen_equal(files_stat(program).st_mode & 0777, 0777);
    return specimen_pass();
}
