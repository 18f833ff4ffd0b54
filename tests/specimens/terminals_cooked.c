/* specimen: terminal as it comes: echo, line editing, line ends made to CR LF | group: terminals | needs: nothing */
#include "terminals.h"

int main(void) {
    struct terminal pair = terminal_open();

    specimen_ready();
    specimen_wait();

    terminal_type(pair.master, "wrogn\177\177ng\r");
    terminal_expect(pair.slave, "wrong\n");
    terminal_expect(pair.master, "wrogn\b \b\b \bng\r\n");
    specimen_equal(write(pair.slave, "out\n", 4), 4);
    terminal_expect(pair.master, "out\r\n");
    return specimen_pass();
}
