/* specimen: file open for writing, half written | group: files | needs: nothing */
#include "files.h"

int main(void) {
    int fd = files_open_at(7, "data", O_WRONLY | O_CREAT | O_TRUNC);
    files_write(fd, 50000, 1, 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(files_offset(fd), 50000);
    specimen_equal(files_flags(fd), O_WRONLY);
    specimen_equal(files_stat(fd).st_size, 50000);
    files_write(fd, 30000, 1, 50000);
    char byte;
    files_fails(read(fd, &byte, 1), EBADF);
    int again = open("data", O_RDONLY);
    files_expect(again, 80000, 1, 0);
    specimen_equal(ftruncate(fd, 50000), 0);
    return specimen_pass();
}
