/* specimen: terminal in exclusive mode (TIOCEXCL) | group: terminals | needs: nothing */
#include "terminals.h"

int main(void) {
    struct terminal pair = terminal_open(), other = terminal_open();
    specimen_equal(ioctl(pair.slave, TIOCEXCL), 0);

    specimen_ready();
    specimen_wait();

    int mode = 0;
    specimen_equal(ioctl(pair.slave, TIOCGEXCL, &mode), 0);
    specimen_equal(mode, 1);
    specimen_equal(ioctl(other.slave, TIOCGEXCL, &mode), 0);
    specimen_equal(mode, 0);
    specimen_equal(ioctl(pair.slave, TIOCNXCL), 0);
    return specimen_pass();
}
