/* specimen: memfd with seals, at two descriptors of different rights | group: objects | needs: nothing */
#include "files.h"

#include <sys/mman.h>

int main(void) {
    int fd = memfd_create("sealed", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    files_write(fd, 5000, 3, 0);
    int reader = open("/proc/self/fd/3", O_RDONLY);
    specimen_check(fd == 3 && reader >= 0);
    specimen_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL), 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(fcntl(fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
    files_fails(write(fd, "x", 1), EPERM);
    files_fails(ftruncate(fd, 1), EPERM);
    files_fails(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
    specimen_equal(files_flags(reader), O_RDONLY);
    files_expect(reader, 5000, 3, 0);
    specimen_equal(files_offset(fd), 5000);
    return specimen_pass();
}
