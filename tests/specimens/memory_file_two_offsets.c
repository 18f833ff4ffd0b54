/* specimen: the same file mapped twice, at overlapping offsets | group: memory | needs: nothing */
#include "memory.h"

int main(void) {
    int fd = memory_file("data", 8 * PAGE, 3);
    char *low = memory_map_file(fd, 6 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
    char *high = memory_map_file(fd, 6 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 2 * PAGE);
    char *copy = memory_map_file(fd, 6 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, 2 * PAGE);
    close(fd);
    memory_fill(low + 3 * PAGE, PAGE, 31);
    memory_fill(copy + 2 * PAGE, PAGE, 41);

    specimen_ready();
    specimen_wait();

    specimen_equal(memory_area(low).offset, 0);
    specimen_equal(memory_area(high).offset, 2 * PAGE);
    memory_check(high + PAGE, PAGE, 31);
    memory_check(copy + PAGE, PAGE, 31);
    memory_check(copy + 2 * PAGE, PAGE, 41);
    specimen_equal(memcmp(low + 4 * PAGE, high + 2 * PAGE, PAGE), 0);
    memory_fill(high + 3 * PAGE, PAGE, 51);
    memory_check(low + 5 * PAGE, PAGE, 51);
    memory_check(copy + 3 * PAGE, PAGE, 51);
    memory_fill(low + 4 * PAGE, PAGE, 61);
    memory_check(high + 2 * PAGE, PAGE, 61);
    memory_check(copy + 2 * PAGE, PAGE, 41);
    return specimen_pass();
}
