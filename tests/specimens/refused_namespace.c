/* specimen: handle of a namespace | group: objects | needs: refusal as a handle of a namespace */
#include "files.h"

int main(void) {
    int fd = open("/proc/self/ns/uts", O_RDONLY);
    specimen_check(fd >= 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(files_is_open(fd), 1);
    return specimen_pass();
}
