/* specimen: named FIFO, both ends open, with unread bytes | group: files | needs: nothing */
#include "files.h"

int main(void) {
    specimen_equal(mkfifo("fifo", 0644), 0);
    files_open_at(3, "fifo", O_RDONLY | O_NONBLOCK);
    files_open_at(4, "fifo", O_WRONLY);
    files_write(4, 5000, 1, 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(files_flags(3), O_RDONLY | O_NONBLOCK);
    specimen_equal(files_flags(4), O_WRONLY);
    specimen_equal(files_unread(3), 5000);
    files_write(4, 100, 1, 5000);
    files_expect(3, 5100, 1, 0);
    char byte;
    files_fails(read(3, &byte, 1), EAGAIN);
    specimen_check(memory_ends_with(files_link(3), "/fifo"));
    /* Whoever opens the name later meets the same pipe. */
    int late = open("fifo", O_WRONLY | O_NONBLOCK);
    specimen_check(late >= 0 && write(late, "late", 4) == 4);
    specimen_equal(files_unread(3), 4);
    close(late), close(4);
    char rest[8];
    specimen_equal(read(3, rest, sizeof rest), 4);
    specimen_equal(read(3, rest, sizeof rest), 0);
    return specimen_pass();
}
