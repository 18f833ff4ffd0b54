/* specimen: private mapping of a file deleted since, some pages changed | group: memory | needs: nothing */
#include "memory.h"

enum { PAGES = 16 };

int main(void) {
    int fd = memory_file("data", PAGES * PAGE, 3);
    char *area = memory_map_file(fd, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);
    close(fd);
    memory_fill(area + 5 * PAGE, PAGE, 55);
    specimen_equal(unlink("data"), 0);

    specimen_ready();
    specimen_wait();

    memory_check(area, 5 * PAGE, 3);
    memory_check(area + 5 * PAGE, PAGE, 55);
    for (size_t i = 6 * PAGE; i < PAGES * PAGE; i++) specimen_equal((unsigned char)area[i], memory_byte(3, i));
    struct memory_area now = memory_area(area);
    specimen_check(now.inode != 0 && memory_ends_with(now.path, " (deleted)"));
    specimen_check(access("data", F_OK) != 0 && errno == ENOENT);
    return specimen_pass();
}
