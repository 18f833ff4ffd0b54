/* specimen: terminal settings: modes, speeds, special characters | group: terminals | needs: nothing */
#include "terminals.h"

int main(void) {
    struct terminal pair = terminal_open();
    struct termios before, now;
    specimen_equal(tcgetattr(pair.slave, &before), 0);
    before.c_iflag = IGNBRK | PARMRK | ISTRIP | INLCR | IXON | IXANY | IUTF8;
    before.c_oflag = OPOST | OLCUC | ONLRET;
    before.c_cflag = CS7 | CREAD | PARENB | PARODD | HUPCL | CSTOPB;
    before.c_lflag = ISIG | ECHOK | ECHOCTL | TOSTOP | NOFLSH;
    before.c_cc[VINTR] = 7, before.c_cc[VQUIT] = 1, before.c_cc[VERASE] = 8, before.c_cc[VSUSP] = 0;
    before.c_cc[VMIN] = 42, before.c_cc[VTIME] = 17, before.c_cc[VEOL] = '!', before.c_cc[VLNEXT] = 2;
    cfsetispeed(&before, B19200), cfsetospeed(&before, B19200);
    specimen_equal(tcsetattr(pair.slave, TCSANOW, &before), 0);
    specimen_equal(tcgetattr(pair.slave, &before), 0); /* the kernel keeps CS8 in a pty, whatever one asks */

    specimen_ready();
    specimen_wait();

    specimen_equal(tcgetattr(pair.slave, &now), 0);
    specimen_equal(now.c_iflag, before.c_iflag);
    specimen_equal(now.c_oflag, before.c_oflag);
    specimen_equal(now.c_cflag, before.c_cflag);
    specimen_equal(now.c_lflag, before.c_lflag);
    specimen_equal(now.c_line, before.c_line);
    for (int i = 0; i < NCCS; i++) specimen_equal(now.c_cc[i], before.c_cc[i]);
    specimen_equal(cfgetispeed(&now), B19200);
    specimen_equal(cfgetospeed(&now), B19200);
    specimen_equal(tcgetattr(pair.master, &now), 0); /* the master shows the slave's settings */
    specimen_equal(now.c_lflag, before.c_lflag);
    return specimen_pass();
}
