/* specimen: 3,000 raw bytes, all values, that the slave has not read yet | group: terminals | needs: nothing */
#include "terminals.h"

int main(void) {
    struct terminal pair = terminal_open();
    terminal_plain(pair.slave, 0);
    files_write(pair.master, 3000, 1, 0);
    terminal_await_input(pair.slave, 3000);
    files_expect(pair.slave, 500, 1, 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(files_unread(pair.slave), 2500);
    files_write(pair.master, 100, 1, 3000);
    files_expect(pair.slave, 2600, 1, 500);
    specimen_equal(files_unread(pair.slave), 0);
    return specimen_pass();
}
