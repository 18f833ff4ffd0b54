/* specimen: console of the machine, which controls nobody | group: terminals | needs: root, console */
#include "files.h"

#include <sys/sysmacros.h>
#include <termios.h>

int main(void) {
    int fd = open("/dev/console", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) specimen_skip("no console: %s", strerror(errno));
    struct stat before, after;
    struct termios settings, now;
    specimen_equal(fstat(fd, &before), 0);
    if (tcgetattr(fd, &settings) != 0) specimen_skip("the console is no terminal");

    specimen_ready();
    specimen_wait();

    specimen_equal(fstat(fd, &after), 0);
    specimen_equal(after.st_rdev, before.st_rdev);
    specimen_equal(files_flags(fd), O_RDWR | O_NONBLOCK);
    specimen_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    specimen_equal(tcgetattr(fd, &now), 0);
    specimen_equal(now.c_lflag, settings.c_lflag);
    return specimen_pass();
}
