/* specimen: open file of a process outside the tree | group: objects | needs: refusal as outside the tree */
#include "files.h"

int main(void) {
    int fd = open("/proc/1/stat", O_RDONLY);
    specimen_check(fd >= 0);

    specimen_ready();
    specimen_wait();

    char byte;
    specimen_equal(read(fd, &byte, 1), 1);
    specimen_equal(byte, '1');
    return specimen_pass();
}
