/* specimen: terminal in raw mode: bytes pass both ways as they are | group: terminals | needs: nothing */
#include "terminals.h"

int main(void) {
    struct terminal pair = terminal_open();
    terminal_plain(pair.slave, 0);

    specimen_ready();
    specimen_wait();

    terminal_type(pair.master, "\003in\r\n\004\177");
    terminal_expect(pair.slave, "\003in\r\n\004\177");
    specimen_equal(write(pair.slave, "out\n\t", 5), 5);
    terminal_expect(pair.master, "out\n\t");
    specimen_equal(isatty(pair.slave), 1);
    return specimen_pass();
}
