/* specimen: private file mapping without write permission, changed before that was taken away | group: memory | needs: nothing */
#include "memory.h"

int main(void) {
    int fd = memory_file("data", 8 * PAGE, 3);
    char *area = memory_map_file(fd, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);
    close(fd);
    memory_fill(area + 2 * PAGE, PAGE, 42);
    specimen_equal(mprotect(area, 8 * PAGE, PROT_READ), 0);

    specimen_ready();
    specimen_wait();

    specimen_check(strcmp(memory_area(area + 2 * PAGE).protection, "r--p") == 0);
    specimen_equal(memory_probe(area + 2 * PAGE, 1), SIGSEGV);
    memory_check(area, 2 * PAGE, 3);
    memory_check(area + 2 * PAGE, PAGE, 42);
    specimen_equal(mprotect(area, 8 * PAGE, PROT_READ | PROT_WRITE), 0);
    memory_fill(area + 3 * PAGE, PAGE, 43);
    memory_check(area + 3 * PAGE, PAGE, 43);
    return specimen_pass();
}
