/* specimen: pipe with O_NONBLOCK at one end and O_CLOEXEC at the other | group: files | needs: nothing */
#include "files.h"

int main(void) {
    int ends[2];
    specimen_equal(pipe(ends), 0);
    specimen_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    specimen_equal(fcntl(ends[1], F_SETFD, FD_CLOEXEC), 0);

    specimen_ready();
    specimen_wait();

    char byte;
    specimen_equal(files_flags(ends[0]), O_RDONLY | O_NONBLOCK);
    specimen_equal(files_flags(ends[1]), O_WRONLY);
    specimen_equal(fcntl(ends[0], F_GETFD), 0);
    specimen_equal(fcntl(ends[1], F_GETFD), FD_CLOEXEC);
    files_fails(read(ends[0], &byte, 1), EAGAIN);
    specimen_equal(write(ends[1], "x", 1), 1);
    specimen_equal(read(ends[0], &byte, 1), 1);
    return specimen_pass();
}
