/* specimen: named FIFO opened with O_RDWR, with unread bytes | group: files | needs: nothing */
#include "files.h"

int main(void) {
    specimen_equal(mkfifo("fifo", 0644), 0);
    files_open_at(3, "fifo", O_RDWR);
    files_write(3, 2000, 1, 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(files_flags(3), O_RDWR);
    files_expect(3, 1000, 1, 0);
    files_write(3, 500, 1, 2000);
    files_expect(3, 1500, 1, 1000);
    specimen_equal(files_unread(3), 0);
    return specimen_pass();
}
