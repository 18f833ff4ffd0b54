/* specimen: a process that is deeper in recursion than ever before, with nothing left of its stack's mapping | group: memory | needs: nothing */
#include "memory.h"

static uintptr_t stack_start(void) {
    char line[512], *found = NULL;
    unsigned long start = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (!found && fgets(line, sizeof line, maps))
        if ((found = strstr(line, "[stack]"))) sscanf(line, "%lx", &start);
    fclose(maps);
    return start;
}

static int deeper(int depth, uintptr_t aim);
static int (*volatile next)(int, uintptr_t) = deeper;

/* Frames of 512 bytes, down to *aim*, where the process waits. */
static int deeper(int depth, uintptr_t aim) {
    volatile char frame[512];
    memset((char *)frame, depth, sizeof frame);
    int result;
    if ((uintptr_t)frame < aim) {
        specimen_ready();
        specimen_wait();
        result = depth;
    } else {
        result = next(depth + 1, aim);
    }
    for (size_t i = 0; i < sizeof frame; i++) specimen_equal(frame[i], (char)depth);
    return result;
}

int main(void) {
    /* Everything that needs more stack has been called before; the last frame is in the lowest page. */
    uintptr_t start = stack_start();
    specimen_check(next(0, start + 3584) > 100);
    return specimen_pass();
}
