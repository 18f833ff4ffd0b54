/* specimen: named FIFO with only its write end left | group: files | needs: nothing */
#include "files.h"

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    specimen_equal(mkfifo("fifo", 0644), 0);
    int reader = open("fifo", O_RDONLY | O_NONBLOCK);
    files_open_at(4, "fifo", O_WRONLY);
    if (reader != 4) close(reader);

    specimen_ready();
    specimen_wait();

    specimen_equal(files_flags(4), O_WRONLY);
    files_fails(write(4, "x", 1), EPIPE);
    reader = open("fifo", O_RDONLY | O_NONBLOCK);
    files_write(4, 100, 1, 0);
    files_expect(reader, 100, 1, 0);
    return specimen_pass();
}
