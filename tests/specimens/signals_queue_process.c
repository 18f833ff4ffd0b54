/* specimen: real-time signals queued for the whole process: order, values, several of one number | group: signals | needs: nothing */
#include "signals.h"

int main(void) {
    signals_set_mask(signals_bit(40) | signals_bit(41) | signals_bit(64) | signals_bit(SIGUSR1));
    signals_queue(getpid(), 64, 1);
    signals_queue(getpid(), 41, 2);
    signals_queue(getpid(), 40, 3);
    signals_queue(getpid(), 41, -4);
    signals_queue(getpid(), SIGUSR1, 5);
    signals_queue(getpid(), 40, 0x7fffffff);
    for (int i = 0; i < 100; i++) signals_queue(getpid(), 41, 100 + i);

    specimen_ready();
    specimen_wait();

    /* Standard signals first, then the lowest number, then in the order of sending: signal(7). */
    specimen_equal(atoi(task_status(getpid(), "SigQ")) >= 106, 1);
    signals_expect_queued(SIGUSR1, 5);
    signals_expect_queued(40, 3);
    signals_expect_queued(40, 0x7fffffff);
    signals_expect_queued(41, 2);
    signals_expect_queued(41, -4);
    for (int i = 0; i < 100; i++) signals_expect_queued(41, 100 + i);
    signals_expect_queued(64, 1);
    signals_none(~(uint64_t)0);
    return specimen_pass();
}
