/* specimen: master in packet mode (TIOCPKT) | group: terminals | needs: nothing */
#include "terminals.h"

int main(void) {
    struct terminal pair = terminal_open();
    terminal_plain(pair.slave, 0);
    int on = 1;
    specimen_equal(ioctl(pair.master, TIOCPKT, &on), 0);

    specimen_ready();
    specimen_wait();

    int mode = 0;
    char bytes[16];
    specimen_equal(ioctl(pair.master, TIOCGPKT, &mode), 0);
    specimen_equal(mode, 1);
    specimen_equal(write(pair.slave, "data", 4), 4);
    specimen_equal(read(pair.master, bytes, sizeof bytes), 5);
    specimen_equal(memcmp(bytes, "\0data", 5), 0);
    return specimen_pass();
}
