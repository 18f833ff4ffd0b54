/* specimen: numbers of timers, with gaps where some were deleted | group: time | needs: nothing */
#include "timers.h"

enum { COUNT = 8 };

static int deleted(int i) { return i == 0 || i == 3 || i == 4 || i == COUNT - 1; }

int main(void) {
    int ids[COUNT];
    for (int i = 0; i < COUNT; i++) {
        struct sigevent event = timers_event(SIGEV_NONE, 0, 0, 0);
        ids[i] = timers_create(CLOCK_MONOTONIC, &event);
        timers_set(ids[i], 1000 * (i + 1), 0);
    }
    for (int i = 0; i < COUNT; i++)
        if (deleted(i)) specimen_equal(syscall(SYS_timer_delete, ids[i]), 0);

    specimen_ready();
    specimen_wait();

    for (int i = 0; i < COUNT; i++) {
        specimen_equal(timers_exists(ids[i]), !deleted(i));
        if (!deleted(i)) timers_expect_left(timers_left(ids[i]), 1000 * (i + 1));
    }
    struct sigevent event = timers_event(SIGEV_NONE, 0, 0, 0);
    int another = timers_create(CLOCK_MONOTONIC, &event);
    for (int i = 0; i < COUNT; i++) specimen_check(deleted(i) || ids[i] != another);
    for (int i = 0; i < COUNT; i++)
        if (!deleted(i)) specimen_equal(syscall(SYS_timer_delete, ids[i]), 0);
    return specimen_pass();
}
