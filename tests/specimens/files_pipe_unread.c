/* specimen: pipe with unread bytes, written in pieces | group: files | needs: nothing */
#include "files.h"

int main(void) {
    int ends[2];
    specimen_equal(pipe(ends), 0);
    files_write(ends[1], 10, 1, 0), files_write(ends[1], 5000, 1, 10), files_write(ends[1], 1, 1, 5010);
    files_expect(ends[0], 7, 1, 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(files_unread(ends[0]), 5004);
    specimen_check(S_ISFIFO(files_stat(ends[0]).st_mode));
    specimen_equal(files_stat(ends[0]).st_ino, files_stat(ends[1]).st_ino);
    specimen_equal(files_flags(ends[0]), O_RDONLY);
    specimen_equal(files_flags(ends[1]), O_WRONLY);
    files_write(ends[1], 100, 1, 5011);
    files_expect(ends[0], 5104, 1, 7);
    specimen_equal(files_unread(ends[0]), 0);
    close(ends[1]);
    char byte;
    specimen_equal(read(ends[0], &byte, 1), 0);
    return specimen_pass();
}
