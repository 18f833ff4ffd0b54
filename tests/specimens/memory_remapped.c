/* specimen: mappings moved, grown, shrunk and duplicated by mremap | group: memory | needs: nothing */
#include "memory.h"

static char *moved(char *from, size_t size, size_t new_size, int more) {
    char *to = memory_anonymous(64 * PAGE, PROT_NONE) + 8 * PAGE;
    char *got = mremap(from, size, new_size, MREMAP_MAYMOVE | MREMAP_FIXED | more, to);
    specimen_check(got == to);
    return got;
}

int main(void) {
    char *private = memory_anonymous(8 * PAGE, PROT_READ | PROT_WRITE);
    memory_fill(private, 8 * PAGE, 1);
    private = moved(private, 8 * PAGE, 16 * PAGE, 0);

    int fd = memory_file("data", 16 * PAGE, 3);
    char *file = memory_map_file(fd, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);
    memory_fill(file + 4 * PAGE, PAGE, 4);
    file = moved(file + 3 * PAGE, 4 * PAGE, 4 * PAGE, 0); /* pages 3 to 6 elsewhere, a hole in the old place */
    close(fd);

    /* Pages go to the new place, the old mapping stays, empty. */
    char *left = memory_anonymous(4 * PAGE, PROT_READ | PROT_WRITE);
    memory_fill(left, 4 * PAGE, 5);
    char *taken = moved(left, 4 * PAGE, 4 * PAGE, MREMAP_DONTUNMAP);

    char *shared = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memory_fill(shared, 4 * PAGE, 6);
    char *alias = moved(shared, 0, 4 * PAGE, 0); /* old size 0: the same pages twice, mremap(2) */

    specimen_ready();
    specimen_wait();

    memory_check(private, 8 * PAGE, 1);
    memory_check_zero(private + 8 * PAGE, 8 * PAGE);
    specimen_equal(memory_area(file).offset, 3 * PAGE);
    memory_check(file + PAGE, PAGE, 4);
    for (size_t i = 0; i < PAGE; i++) specimen_equal((unsigned char)file[i], memory_byte(3, 3 * PAGE + i));
    memory_check_zero(left, 4 * PAGE);
    memory_check(taken, 4 * PAGE, 5);
    memory_check(alias, 4 * PAGE, 6);
    memory_fill(shared + PAGE, PAGE, 7);
    memory_check(alias + PAGE, PAGE, 7);
    return specimen_pass();
}
