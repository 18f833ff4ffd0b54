/* specimen: deleted file whose name belongs to another file by now (a rotated log) | group: files | needs: nothing */
#include "files.h"

int main(void) {
    files_make("log", 1000, 1);
    files_open_at(3, "log", O_RDWR | O_APPEND);
    specimen_equal(unlink("log"), 0);
    files_make("log", 2000, 2);
    files_open_at(4, "log", O_RDWR);
    int names = files_names(".");

    specimen_ready();
    specimen_wait();

    specimen_equal(files_stat(3).st_nlink, 0);
    specimen_equal(files_stat(3).st_size, 1000);
    specimen_equal(files_stat(4).st_nlink, 1);
    files_expect(3, 1000, 1, 0);
    specimen_equal(write(3, "more", 4), 4);
    specimen_equal(files_stat(3).st_size, 1004);
    files_expect(4, 2000, 2, 0);
    int fd = open("log", O_RDONLY);
    files_expect(fd, 2000, 2, 0);
    specimen_equal(files_stat(fd).st_size, 2000);
    specimen_equal(files_names("."), names);
    return specimen_pass();
}
