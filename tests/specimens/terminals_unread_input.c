/* specimen: typed lines that the slave has not read yet | group: terminals | needs: nothing */
#include "terminals.h"

int main(void) {
    struct terminal pair = terminal_open();
    terminal_plain(pair.slave, 1);
    terminal_type(pair.master, "first\nsecond line\n\nfourth\n");
    terminal_await_input(pair.slave, 26);
    terminal_expect(pair.slave, "first\n");

    specimen_ready();
    specimen_wait();

    specimen_equal(files_unread(pair.slave), 20);
    terminal_expect(pair.slave, "second line\n");
    terminal_expect(pair.slave, "\n");
    terminal_type(pair.master, "fifth\n");
    terminal_expect(pair.slave, "fourth\n");
    terminal_expect(pair.slave, "fifth\n");
    return specimen_pass();
}
