/* specimen: output of the slave that the master has not read yet, line ends made once | group: terminals | needs: nothing */
#include "terminals.h"

int main(void) {
    struct terminal pair = terminal_open();
    specimen_equal(write(pair.slave, "one\ntwo\n", 8), 8);
    terminal_await_input(pair.master, 10);

    specimen_ready();
    specimen_wait();

    specimen_equal(files_unread(pair.master), 10);
    terminal_expect(pair.master, "one\r\ntwo\r\n");
    specimen_equal(write(pair.slave, "three\n", 6), 6);
    terminal_expect(pair.master, "three\r\n");
    specimen_equal(files_unread(pair.slave), 0);
    return specimen_pass();
}
