/* specimen: blocked signals of every thread, real-time signals included | group: signals | needs: nothing */
#include "signals.h"

enum { COUNT = 3 };
static uint64_t masks[COUNT] = {0, 0x00000001fff9be03, ~(uint64_t)0};

static void run(struct worker *me) {
    uint64_t mask = *(uint64_t *)me->data;
    signals_set_mask(mask);
    mask &= ~(signals_bit(SIGKILL) | signals_bit(SIGSTOP));
    specimen_equal(signals_mask(), mask);
    worker_turn(me);
    specimen_equal(signals_mask(), mask);
    specimen_equal(task_status_hex(me->tid, "SigBlk"), mask);
}

int main(void) {
    struct worker *workers[COUNT];
    for (int i = 0; i < COUNT; i++) workers[i] = worker_start(run, &masks[i]);
    signals_set_mask(signals_bit(SIGINT) | signals_bit(SIGRTMIN + 7));

    specimen_ready();
    specimen_wait();

    uint64_t mask = signals_bit(SIGINT) | signals_bit(SIGRTMIN + 7) | signals_bit(SIGTERM);
    specimen_equal(signals_mask(), mask);
    specimen_equal(task_status_hex(getpid(), "SigBlk"), mask);
    for (int i = 0; i < COUNT; i++) worker_end(workers[i]);
    return specimen_pass();
}
