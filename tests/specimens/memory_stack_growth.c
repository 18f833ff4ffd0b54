/* specimen: the main stack: frames kept, and it grows by deep recursion afterwards | group: memory | needs: nothing */
#include "memory.h"

#include <sys/resource.h>

/* One 64 KiB frame per level; the sum needs every frame to be alive until its callee is back. */
__attribute__((noinline)) static long descend(int levels) {
    volatile unsigned char frame[65536];
    frame[0] = levels % 251, frame[65535] = 1;
    long below = levels ? descend(levels - 1) : 0;
    return below + frame[0] + frame[65535];
}

int main(void) {
    unsigned char local[100000];
    memory_fill(local, sizeof local, 1);
    struct rlimit limit;
    getrlimit(RLIMIT_STACK, &limit);
    int levels = (limit.rlim_cur < 8 * MIB ? limit.rlim_cur : 8 * MIB) * 3 / 4 / 65536;
    long expected = 0;
    for (int i = 0; i <= levels; i++) expected += i % 251 + 1;

    specimen_ready();
    specimen_wait();

    memory_check(local, sizeof local, 1);
    specimen_check(strcmp(memory_area(local).path, "[stack]") == 0 && memory_has_flag(local, "gd"));
    specimen_equal(descend(levels), expected);
    memory_check(local, sizeof local, 1);
    return specimen_pass();
}
