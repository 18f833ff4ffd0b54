/* specimen: slave alone: the master has been closed, the terminal is hung up | group: terminals | needs: nothing */
#include "terminals.h"

int main(void) {
    struct terminal pair = terminal_open();
    close(pair.master);

    specimen_ready();
    specimen_wait();

    char byte;
    specimen_equal(read(pair.slave, &byte, 1), 0);
    files_fails(write(pair.slave, "x", 1), EIO);
    specimen_equal(files_poll(pair.slave) & POLLHUP, POLLHUP);
    return specimen_pass();
}
