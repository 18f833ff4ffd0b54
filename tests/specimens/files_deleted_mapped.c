/* specimen: deleted file, open and mapped shared at once: one file still | group: files | needs: nothing */
#include "files.h"

int main(void) {
    files_make("data", 8 * PAGE, 1);
    int fd = files_open_at(3, "data", O_RDWR);
    char *area = memory_map_file(fd, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
    memory_fill(area + PAGE, PAGE, 2);
    specimen_equal(unlink("data"), 0);

    specimen_ready();
    specimen_wait();

    memory_check(area, PAGE, 1);
    files_expect(fd, PAGE, 1, 0);
    files_expect(fd, PAGE, 2, 0);
    specimen_equal(pwrite(fd, "by descriptor", 13, 4 * PAGE), 13);
    specimen_equal(memcmp(area + 4 * PAGE, "by descriptor", 13), 0);
    strcpy(area + 5 * PAGE, "by memory");
    files_expect_at(fd, 5 * PAGE, "by memory");
    specimen_equal(memory_area(area).inode, files_stat(fd).st_ino);
    return specimen_pass();
}
