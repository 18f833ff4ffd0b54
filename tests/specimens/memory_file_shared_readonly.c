/* specimen: shared mapping of a file opened for reading, that can never become writable | group: memory | needs: nothing */
#include "memory.h"

int main(void) {
    close(memory_file("data", 8 * PAGE, 3));
    int fd = open("data", O_RDONLY);
    char *area = memory_map_file(fd, 8 * PAGE, PROT_READ, MAP_SHARED, 0);
    close(fd);

    specimen_ready();
    specimen_wait();

    struct memory_area now = memory_area(area);
    specimen_check(strcmp(now.protection, "r--s") == 0 && memory_ends_with(now.path, "/data"));
    memory_check(area, 8 * PAGE, 3);
    /* VM_MAYWRITE is absent because the descriptor was read-only: mmap(2), EACCES. */
    specimen_equal(mprotect(area, PAGE, PROT_READ | PROT_WRITE), -1);
    specimen_equal(errno, EACCES);
    fd = open("data", O_WRONLY);
    specimen_equal(pwrite(fd, "new", 3, PAGE), 3);
    specimen_equal(memcmp(area + PAGE, "new", 3), 0);
    memory_file_put_back(fd, PAGE, 3, 3);
    return specimen_pass();
}
