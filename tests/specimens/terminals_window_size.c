/* specimen: window size, with pixels | group: terminals | needs: nothing */
#include "terminals.h"

int main(void) {
    struct terminal pair = terminal_open();
    struct winsize size = {.ws_row = 33, .ws_col = 101, .ws_xpixel = 707, .ws_ypixel = 999}, now;
    specimen_equal(ioctl(pair.master, TIOCSWINSZ, &size), 0);

    specimen_ready();
    specimen_wait();

    for (int i = 0; i < 2; i++) {
        specimen_equal(ioctl(i ? pair.master : pair.slave, TIOCGWINSZ, &now), 0);
        specimen_equal(now.ws_row, 33);
        specimen_equal(now.ws_col, 101);
        specimen_equal(now.ws_xpixel, 707);
        specimen_equal(now.ws_ypixel, 999);
    }
    return specimen_pass();
}
