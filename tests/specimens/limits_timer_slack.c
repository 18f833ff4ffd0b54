/* specimen: timer slack of every thread | group: limits | needs: nothing */
#include "worker.h"

#include <sys/prctl.h>

static long wanted[] = {1, 123456, 4000000000};
enum { COUNT = sizeof wanted / sizeof *wanted };

static void run(struct worker *me) {
    long slack = *(long *)me->data;
    specimen_equal(prctl(PR_SET_TIMERSLACK, slack, 0, 0, 0), 0);
    worker_turn(me);
    specimen_equal((unsigned)prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0), slack);
}

int main(void) {
    struct worker *workers[COUNT];
    for (int i = 0; i < COUNT; i++) workers[i] = worker_start(run, &wanted[i]);
    int own = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0), own);
    for (int i = 0; i < COUNT; i++) worker_end(workers[i]);
    return specimen_pass();
}
