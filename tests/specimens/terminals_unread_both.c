/* specimen: input and output under way at once, with echo on | group: terminals | needs: nothing */
#include "terminals.h"

int main(void) {
    struct terminal pair = terminal_open();
    terminal_type(pair.master, "typed\r");
    terminal_await_input(pair.master, 7); /* the echo */
    specimen_equal(write(pair.slave, "shown\n", 6), 6);
    terminal_await_input(pair.master, 14);
    terminal_await_input(pair.slave, 6);

    specimen_ready();
    specimen_wait();

    specimen_equal(files_unread(pair.slave), 6);
    terminal_expect(pair.master, "typed\r\nshown\r\n");
    terminal_expect(pair.slave, "typed\n");
    specimen_equal(files_unread(pair.master), 0);
    return specimen_pass();
}
