/* specimen: memfd, mapped shared and private and kept open as a descriptor | group: memory | needs: nothing */
#include "memory.h"

enum { PAGES = 16 };

int main(void) {
    int fd = memfd_create("specimen", 0);
    specimen_check(fd >= 0 && ftruncate(fd, PAGES * PAGE) == 0);
    char *shared = memory_map_file(fd, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
    char *private = memory_map_file(fd, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);
    memory_fill(shared, 4 * PAGE, 1);
    memory_fill(private + PAGE, PAGE, 2);
    specimen_equal(lseek(fd, 12345, SEEK_SET), 12345);

    specimen_ready();
    specimen_wait();

    char page[PAGE], link[64] = "";
    struct stat status;
    specimen_equal(fstat(fd, &status), 0);
    specimen_equal(status.st_size, PAGES * PAGE);
    specimen_equal(lseek(fd, 0, SEEK_CUR), 12345);
    snprintf(page, sizeof page, "/proc/self/fd/%d", fd);
    specimen_check(readlink(page, link, sizeof link - 1) > 0 && strncmp(link, "/memfd:specimen", 15) == 0);
    memory_check(shared, 4 * PAGE, 1);
    memory_check(private + PAGE, PAGE, 2);
    memory_fill(shared + 5 * PAGE, PAGE, 5);
    specimen_equal(pread(fd, page, PAGE, 5 * PAGE), PAGE);
    memory_check(page, PAGE, 5);
    memory_check(private + 5 * PAGE, PAGE, 5);
    specimen_equal(pwrite(fd, "written", 7, 6 * PAGE), 7);
    specimen_equal(memcmp(shared + 6 * PAGE, "written", 7), 0);
    return specimen_pass();
}
