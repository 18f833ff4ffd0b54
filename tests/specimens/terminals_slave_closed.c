/* specimen: master alone: the slave has been closed, can be opened again | group: terminals | needs: nothing */
#include "terminals.h"

int main(void) {
    struct terminal pair = terminal_open();
    terminal_plain(pair.slave, 0);
    struct winsize size = {.ws_row = 11, .ws_col = 22}, now;
    specimen_equal(ioctl(pair.slave, TIOCSWINSZ, &size), 0);
    close(pair.slave);

    specimen_ready();
    specimen_wait();

    char byte;
    specimen_equal(files_poll(pair.master) & POLLHUP, POLLHUP);
    files_fails(read(pair.master, &byte, 1), EIO);
    specimen_equal(ptsname_r(pair.master, pair.path, sizeof pair.path), 0);
    pair.slave = open(pair.path, O_RDWR | O_NOCTTY);
    specimen_check(pair.slave >= 0);
    specimen_equal(ioctl(pair.slave, TIOCGWINSZ, &now), 0);
    specimen_equal(now.ws_row, 11);
    terminal_type(pair.master, "again\n");
    terminal_expect(pair.slave, "again\n"); /* raw still: no echo, no line mode */
    specimen_equal(files_unread(pair.master), 0);
    return specimen_pass();
}
