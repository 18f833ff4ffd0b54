/* specimen: private file mapping with changed pages, the file itself unchanged | group: memory | needs: nothing */
#include "memory.h"

enum { PAGES = 64 };

int main(void) {
    int fd = memory_file("data", PAGES * PAGE, 3);
    char *area = memory_map_file(fd, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);
    for (size_t i = 0; i < PAGES; i += 2) memory_fill(area + i * PAGE, PAGE, i + 1000);
    close(fd);

    specimen_ready();
    specimen_wait();

    char *original = malloc(PAGES * PAGE), *file = malloc(PAGES * PAGE);
    memory_fill(original, PAGES * PAGE, 3);
    fd = open("data", O_RDWR);
    specimen_equal(pread(fd, file, PAGES * PAGE, 0), PAGES * PAGE);
    specimen_equal(memcmp(file, original, PAGES * PAGE), 0);
    for (size_t i = 0; i < PAGES; i++) {
        if (i % 2 == 0) memory_check(area + i * PAGE, PAGE, i + 1000);
        else specimen_equal(memcmp(area + i * PAGE, original + i * PAGE, PAGE), 0);
    }
    /* An unchanged page follows the file, a changed one does not. */
    specimen_equal(pwrite(fd, "new", 3, 10 * PAGE), 3);
    specimen_equal(pwrite(fd, "new", 3, 11 * PAGE), 3);
    memory_check(area + 10 * PAGE, PAGE, 1010);
    specimen_equal(memcmp(area + 11 * PAGE, "new", 3), 0);
    memory_file_put_back(fd, 10 * PAGE, 3, 3);
    memory_file_put_back(fd, 11 * PAGE, 3, 3);
    specimen_check(memory_ends_with(memory_area(area).path, "/data"));
    return specimen_pass();
}
