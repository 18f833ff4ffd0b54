/* specimen: end of file typed (Ctrl-D) and not read yet | group: terminals | needs: nothing */
#include "terminals.h"

int main(void) {
    struct terminal pair = terminal_open();
    terminal_type(pair.master, "line\r\004more\r");
    terminal_expect(pair.master, "line\r\nmore\r\n");

    specimen_ready();
    specimen_wait();

    char byte;
    terminal_expect(pair.slave, "line\n");
    specimen_equal(read(pair.slave, &byte, 1), 0);
    terminal_expect(pair.slave, "more\n");
    return specimen_pass();
}
