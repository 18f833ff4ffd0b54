/* specimen: device that holds state | group: objects | needs: root, refusal as a device that holds state (loop devices) */
#include "files.h"

int main(void) {
    int fd = open("/dev/loop-control", O_RDWR);
    if (fd < 0) specimen_skip("no /dev/loop-control: %s", strerror(errno));

    specimen_ready();
    specimen_wait();

    specimen_equal(files_is_open(fd), 1);
    return specimen_pass();
}
