/* specimen: descriptor numbers with gaps: 3, 77, 900 | group: files | needs: nothing */
#include "files.h"

int main(void) {
    static const int numbers[] = {3, 77, 900};
    files_make("data", 3000, 1);
    for (int i = 0; i < 3; i++) {
        files_open_at(numbers[i], "data", O_RDONLY);
        specimen_equal(lseek(numbers[i], i * 1000 + 1, SEEK_SET), i * 1000 + 1);
    }

    specimen_ready();
    specimen_wait();

    for (int fd = 0; fd < 1000; fd++)
        if (files_is_open(fd) != (fd <= 3 || fd == 77 || fd == 900)) specimen_fail("descriptor %d", fd);
    for (int i = 0; i < 3; i++) specimen_equal(files_offset(numbers[i]), i * 1000 + 1);
    specimen_equal(open("data", O_RDONLY), 4); /* the lowest free number */
    return specimen_pass();
}
