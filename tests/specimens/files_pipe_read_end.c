/* specimen: pipe with only its read end left: the data, then end of file | group: files | needs: nothing */
#include "files.h"

int main(void) {
    int ends[2], empty[2];
    specimen_check(pipe(ends) == 0 && pipe(empty) == 0);
    files_write(ends[1], 3000, 1, 0);
    close(ends[1]), close(empty[1]);

    specimen_ready();
    specimen_wait();

    char byte;
    specimen_check(files_poll(ends[0]) == (POLLIN | POLLHUP));
    specimen_equal(files_unread(ends[0]), 3000);
    files_expect(ends[0], 3000, 1, 0);
    specimen_equal(read(ends[0], &byte, 1), 0);
    specimen_equal(read(empty[0], &byte, 1), 0);
    return specimen_pass();
}
