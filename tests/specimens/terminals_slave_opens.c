/* specimen: the slave opened several times, with different flags, and duplicated | group: terminals | needs: nothing */
#include "terminals.h"

int main(void) {
    struct terminal pair = terminal_open();
    terminal_plain(pair.slave, 0);
    int nonblocking = open(pair.path, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    int writing = open(pair.path, O_WRONLY | O_NOCTTY), twin = dup(writing);
    specimen_check(nonblocking >= 0 && writing >= 0);
    specimen_equal(fcntl(pair.master, F_SETFL, O_NONBLOCK), 0);

    specimen_ready();
    specimen_wait();

    char byte;
    specimen_equal(files_flags(pair.slave), O_RDWR);
    specimen_equal(files_flags(nonblocking), O_RDONLY | O_NONBLOCK);
    specimen_equal(fcntl(nonblocking, F_GETFD), FD_CLOEXEC);
    specimen_equal(files_flags(writing), O_WRONLY);
    specimen_equal(files_flags(pair.master), O_RDWR | O_NONBLOCK);
    files_fails(read(nonblocking, &byte, 1), EAGAIN);
    files_fails(read(pair.master, &byte, 1), EAGAIN);
    specimen_equal(files_stat(writing).st_rdev, files_stat(pair.slave).st_rdev);
    specimen_equal(fcntl(twin, F_SETFL, O_NONBLOCK), 0);
    specimen_equal(files_flags(writing), O_WRONLY | O_NONBLOCK);
    specimen_equal(write(writing, "w", 1), 1);
    terminal_expect(pair.master, "w");
    close(pair.slave), close(writing), close(twin);
    specimen_equal(files_poll(pair.master) & POLLHUP, 0);
    close(nonblocking); /* the last one */
    specimen_equal(files_poll(pair.master) & POLLHUP, POLLHUP);
    files_fails(read(pair.master, &byte, 1), EIO);
    return specimen_pass();
}
