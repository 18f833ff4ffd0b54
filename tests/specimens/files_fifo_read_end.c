/* specimen: named FIFO with only its read end open, and nobody at the other | group: files | needs: nothing */
#include "files.h"

int main(void) {
    specimen_equal(mkfifo("fifo", 0644), 0);
    files_open_at(3, "fifo", O_RDONLY | O_NONBLOCK);

    specimen_ready();
    specimen_wait();

    char byte;
    specimen_equal(read(3, &byte, 1), 0);
    int writer = open("fifo", O_WRONLY | O_NONBLOCK);
    specimen_check(writer >= 0);
    files_fails(read(3, &byte, 1), EAGAIN);
    specimen_equal(write(writer, "x", 1), 1);
    close(writer);
    specimen_equal(read(3, &byte, 1), 1);
    specimen_equal(read(3, &byte, 1), 0);
    return specimen_pass();
}
