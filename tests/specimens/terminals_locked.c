/* specimen: master whose slave is not unlocked yet | group: terminals | needs: nothing */
#include "terminals.h"

int main(void) {
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    specimen_check(master >= 0);

    specimen_ready();
    specimen_wait();

    char path[64];
    int locked = 0;
    specimen_equal(ioctl(master, TIOCGPTLCK, &locked), 0);
    specimen_equal(locked, 1);
    specimen_equal(ptsname_r(master, path, sizeof path), 0);
    files_fails(open(path, O_RDWR | O_NOCTTY), EIO);
    specimen_equal(unlockpt(master), 0);
    int slave = open(path, O_RDWR | O_NOCTTY);
    terminal_plain(slave, 0);
    terminal_type(master, "x");
    terminal_expect(slave, "x");
    return specimen_pass();
}
