/* specimen: private file mapping whose pages were only read | group: memory | needs: nothing */
#include "memory.h"

enum { PAGES = 64, SKIPPED = 4 };

int main(void) {
    int fd = memory_file("data", PAGES * PAGE, 3);
    char *area = memory_map_file(fd, (PAGES - SKIPPED) * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, SKIPPED * PAGE);
    int difference = 0;
    for (size_t i = 0; i < (PAGES - SKIPPED) * PAGE; i++)
        difference |= (unsigned char)area[i] != memory_byte(3, SKIPPED * PAGE + i);
    specimen_equal(difference, 0);
    close(fd);

    specimen_ready();
    specimen_wait();

    struct memory_area now = memory_area(area);
    specimen_equal(now.offset, SKIPPED * PAGE);
    specimen_check(memory_ends_with(now.path, "/data"));
    specimen_check(strcmp(now.protection, "rw-p") == 0);
    for (size_t i = 0; i < (PAGES - SKIPPED) * PAGE; i++)
        specimen_equal((unsigned char)area[i], memory_byte(3, SKIPPED * PAGE + i));
    /* Pages never written belong to the file still: they follow it. */
    fd = open("data", O_RDWR);
    specimen_equal(pwrite(fd, "new", 3, (SKIPPED + 1) * PAGE), 3);
    specimen_check(memcmp(area + PAGE, "new", 3) == 0);
    area[PAGE] = 'N';
    char byte;
    specimen_equal(pread(fd, &byte, 1, (SKIPPED + 1) * PAGE), 1);
    specimen_equal(byte, 'n');
    memory_file_put_back(fd, (SKIPPED + 1) * PAGE, 3, 3);
    return specimen_pass();
}
