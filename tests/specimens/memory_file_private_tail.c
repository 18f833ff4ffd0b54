/* specimen: private file mapping, changed bytes behind the end of the file in its last page | group: memory | needs: nothing */
#include "memory.h"

int main(void) {
    int fd = memory_file("data", PAGE + 100, 3);
    char *area = memory_map_file(fd, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);
    close(fd);
    strcpy(area + PAGE + 2000, "behind the end");

    specimen_ready();
    specimen_wait();

    memory_check(area, PAGE + 100, 3);
    specimen_equal(strcmp(area + PAGE + 2000, "behind the end"), 0);
    memory_check_zero(area + PAGE + 100, 1900);
    struct stat status;
    specimen_equal(stat("data", &status), 0);
    specimen_equal(status.st_size, PAGE + 100);
    return specimen_pass();
}
