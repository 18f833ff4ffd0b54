/* specimen: I/O priority of every thread: best effort, idle, real time, none | group: limits | needs: root */
#include "worker.h"

/* ioprio_set(2): class in the upper bits, level in the lower 13; class 1 real time, 2 best effort, 3 idle. */
#define PRIORITY(class, level) ((class) << 13 | (level))
static const int wanted[] = {PRIORITY(2, 6), PRIORITY(3, 0), PRIORITY(1, 3), PRIORITY(2, 1)};
enum { COUNT = sizeof wanted / sizeof *wanted, WHO_PROCESS = 1 };

static void run(struct worker *me) {
    int priority = *(const int *)me->data;
    specimen_equal(syscall(SYS_ioprio_set, WHO_PROCESS, 0, priority), 0);
    worker_turn(me);
    specimen_equal(syscall(SYS_ioprio_get, WHO_PROCESS, 0), priority);
}

int main(void) {
    struct worker *workers[COUNT];
    for (int i = 0; i < COUNT; i++) workers[i] = worker_start(run, (void *)&wanted[i]);
    long own = syscall(SYS_ioprio_get, WHO_PROCESS, 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(syscall(SYS_ioprio_get, WHO_PROCESS, 0), own);
    for (int i = 0; i < COUNT; i++) worker_end(workers[i]);
    return specimen_pass();
}
