/* specimen: pipe filled up to its last byte | group: files | needs: nothing */
#include "files.h"

int main(void) {
    int ends[2];
    specimen_equal(pipe2(ends, O_NONBLOCK), 0);
    int size = fcntl(ends[1], F_GETPIPE_SZ);
    files_write(ends[1], size, 1, 0);
    files_fails(write(ends[1], "x", 1), EAGAIN);

    specimen_ready();
    specimen_wait();

    specimen_equal(fcntl(ends[0], F_GETPIPE_SZ), size);
    specimen_equal(files_unread(ends[0]), size);
    specimen_equal(files_poll(ends[1]) & POLLOUT, 0);
    files_fails(write(ends[1], "x", 1), EAGAIN);
    files_expect(ends[0], size, 1, 0);
    char byte;
    files_fails(read(ends[0], &byte, 1), EAGAIN);
    files_write(ends[1], size, 2, 0);
    files_expect(ends[0], size, 2, 0);
    return specimen_pass();
}
