/* specimen: io_uring shared with a child, between mappings that leave a page free on either side | group: objects | needs: root, io_uring with its structures in BTF */
#include "memory.h"
#include "uring.h"

#define ENTRIES 128
#define SIZE (2 * PAGE) /* of either mapping of such a ring */

/* So many bytes that are free below what it returns, and where the kernel puts the next two mappings of a ring. */
static char *room(size_t size) {
    char *block = memory_anonymous(size + 2 * PAGE, PROT_READ | PROT_WRITE);
    while ((char *)memory_anonymous(SIZE, PROT_READ) > block) continue; /* from above: so much is free there no more */
    specimen_equal(munmap(block, size), 0);
    return block + size;
}

int main(void) {
    char *above = room(16 * PAGE);
    struct uring ring = uring_make(ENTRIES, 0, 0);
    specimen_equal(ring.rings + SIZE, above);
    specimen_equal(ring.entries + SIZE, ring.rings);
    specimen_equal(munmap(above, PAGE), 0);
    char *below = ring.entries - 2 * PAGE;
    specimen_equal(
        mmap(below, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0), below);
    memory_fill(above + PAGE, PAGE, 1); /* so that the child inherits both of them */
    memory_fill(below, PAGE, 2);
    uring_spend(&ring, 13);
    int down[2];
    specimen_equal(pipe(down), 0);
    pid_t child = fork();
    specimen_check(child >= 0);
    if (!child) {
        char byte;
        close(down[1]);
        while (read(down[0], &byte, 1) != 0) continue;
        uring_next(&ring, 100);
        specimen_equal(uring_submit(&ring, 1), 1);
        memory_check(above + PAGE, PAGE, 1);
        memory_check(below, PAGE, 2);
        _exit(0);
    }
    close(down[0]);

    specimen_ready();
    specimen_wait();

    close(down[1]);
    int status;
    specimen_equal(waitpid(child, &status, 0), child);
    specimen_equal(status, 0);
    ring.submitted++;
    uring_expect(&ring, 100, 0);
    uring_spend(&ring, 200);
    return specimen_pass();
}
