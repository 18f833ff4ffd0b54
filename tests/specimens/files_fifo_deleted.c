/* specimen: FIFO whose name is deleted, with unread bytes | group: files | needs: nothing */
#include "files.h"

int main(void) {
    specimen_equal(mkfifo("fifo", 0600), 0);
    files_open_at(3, "fifo", O_RDONLY | O_NONBLOCK);
    files_open_at(4, "fifo", O_WRONLY);
    files_write(4, 2000, 1, 0);
    specimen_equal(unlink("fifo"), 0);
    int names = files_names(".");

    specimen_ready();
    specimen_wait();

    specimen_check(S_ISFIFO(files_stat(3).st_mode));
    specimen_equal(files_stat(3).st_nlink, 0);
    specimen_equal(files_names("."), names);
    files_write(4, 1000, 1, 2000);
    files_expect(3, 3000, 1, 0);
    close(4);
    char byte;
    specimen_equal(read(3, &byte, 1), 0);
    return specimen_pass();
}
