/* specimen: performance counter | group: objects | needs: refusal as a performance counter */
#include "files.h"

#include <linux/perf_event.h>

int main(void) {
    struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE, .size = sizeof attr, .config = PERF_COUNT_SW_CPU_CLOCK};
    int fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
    if (fd < 0) specimen_skip("no perf_event_open: %s", strerror(errno));

    specimen_ready();
    specimen_wait();

    long long count;
    specimen_equal(read(fd, &count, sizeof count), sizeof count);
    return specimen_pass();
}
