/* specimen: file mapping longer than the file: SIGBUS behind its end, until the file grows | group: memory | needs: nothing */
#include "memory.h"

int main(void) {
    int fd = memory_file("data", PAGE + PAGE / 2, 3);
    char *shared = memory_map_file(fd, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
    char *private = memory_map_file(fd, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);
    private[0] = 'P';
    close(fd);

    specimen_ready();
    specimen_wait();

    struct stat status;
    specimen_equal(stat("data", &status), 0);
    specimen_equal(status.st_size, PAGE + PAGE / 2);
    specimen_equal(private[0], 'P');
    memory_check(shared, PAGE + PAGE / 2, 3);
    memory_check_zero(shared + PAGE + PAGE / 2, PAGE / 2);
    specimen_equal(memory_probe(shared + 2 * PAGE, 0), SIGBUS);
    specimen_equal(memory_probe(private + 3 * PAGE, 1), SIGBUS);
    specimen_equal(truncate("data", 4 * PAGE), 0);
    specimen_equal(memory_probe(shared + 2 * PAGE, 1), 0);
    specimen_equal(private[2 * PAGE], 'w');
    specimen_equal(truncate("data", PAGE + PAGE / 2), 0);
    return specimen_pass();
}
