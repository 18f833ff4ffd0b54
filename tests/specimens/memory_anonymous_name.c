/* specimen: name of anonymous memory (PR_SET_VMA_ANON_NAME) | group: memory | needs: CONFIG_ANON_VMA_NAME */
#include "memory.h"

#include <sys/prctl.h>

/* include/uapi/linux/prctl.h (in v5.17) */
#define SET_VMA 0x53564d41
#define SET_VMA_ANON_NAME 0

int main(void) {
    char *area = memory_anonymous(8 * PAGE, PROT_READ | PROT_WRITE);
    memory_fill(area, 8 * PAGE, 1);
    if (prctl(SET_VMA, SET_VMA_ANON_NAME, area, 4 * PAGE, "specimen name") != 0)
        specimen_skip("anonymous memory has no names here: %s", strerror(errno));

    specimen_ready();
    specimen_wait();

    specimen_equal(strcmp(memory_area(area).path, "[anon:specimen name]"), 0);
    specimen_equal(strcmp(memory_area(area + 4 * PAGE).path, ""), 0);
    memory_check(area, 8 * PAGE, 1);
    return specimen_pass();
}
