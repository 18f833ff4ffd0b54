/* specimen: a mapping made with MAP_GROWSDOWN grows downwards afterwards | group: memory | needs: nothing */
#include "memory.h"

int main(void) {
    /* Room to grow: the kernel keeps 256 pages free below (stack_guard_gap), mmap places others elsewhere. */
    char *room = memory_anonymous(64 * MIB, PROT_NONE);
    specimen_equal(munmap(room, 64 * MIB), 0);
    char *area = mmap(room + 48 * MIB, 4 * PAGE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1, 0);
    specimen_check(area == room + 48 * MIB);
    memory_fill(area, 4 * PAGE, 1);
    area[-100] = 'a'; /* it has grown once before */

    specimen_ready();
    specimen_wait();

    specimen_check(memory_has_flag(area, "gd"));
    memory_check(area, 4 * PAGE, 1);
    specimen_equal(area[-100], 'a');
    for (int page = 2; page < 20; page++) {
        specimen_equal(memory_probe(area - page * PAGE, 1), 0);
        memory_fill(area - page * PAGE, PAGE, page);
    }
    for (int page = 2; page < 20; page++) memory_check(area - page * PAGE, PAGE, page);
    specimen_check(memory_area(area).start <= (unsigned long)area - 19 * PAGE);
    return specimen_pass();
}
