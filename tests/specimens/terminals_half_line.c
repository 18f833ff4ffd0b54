/* specimen: half a line typed in line mode, corrected and finished afterwards | group: terminals | needs: nothing */
#include "terminals.h"

int main(void) {
    struct terminal pair = terminal_open();
    terminal_type(pair.master, "done\runfinishX");
    terminal_expect(pair.master, "done\r\nunfinishX"); /* the echo says that the line is in the buffer */

    specimen_ready();
    specimen_wait();

    specimen_equal(files_unread(pair.slave), 5);
    terminal_expect(pair.slave, "done\n");
    specimen_equal(files_poll(pair.slave) & POLLIN, 0);
    terminal_type(pair.master, "\177ed\r");
    terminal_expect(pair.slave, "unfinished\n");
    terminal_expect(pair.master, "\b \bed\r\n");
    return specimen_pass();
}
