/* specimen: real-time signals queued for single threads, beside those of the process | group: signals | needs: nothing */
#include "signals.h"

static void run(struct worker *me) {
    worker_turn(me);
    /* A thread takes its own signals before those of the process. */
    signals_expect_queued(50, 1);
    signals_expect_queued(50, 2);
    signals_expect_queued(51, 3);
    worker_turn(me);
    signals_expect_queued(50, 4);
    signals_none(~(uint64_t)0);
}

int main(void) {
    signals_set_mask(signals_bit(50) | signals_bit(51));
    struct worker *worker = worker_start(run, NULL);
    signals_queue(getpid(), 50, 4);
    signals_queue_thread(worker->tid, 51, 3);
    signals_queue_thread(worker->tid, 50, 1);
    signals_queue_thread(worker->tid, 50, 2);
    signals_queue_thread(getpid(), 51, 7);

    specimen_ready();
    specimen_wait();

    specimen_equal(task_status_hex(worker->tid, "SigPnd"), signals_bit(50) | signals_bit(51));
    specimen_equal(task_status_hex(getpid(), "SigPnd"), signals_bit(51));
    specimen_equal(task_status_hex(getpid(), "ShdPnd"), signals_bit(50));
    worker_step(worker);
    signals_expect_queued(51, 7);
    worker_end(worker);
    signals_none(~(uint64_t)0);
    return specimen_pass();
}
