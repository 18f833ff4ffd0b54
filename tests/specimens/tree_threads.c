/* specimen: threads: TIDs, their own stacks and variables, pthread_join with results | group: tree | needs: nothing */
#include "worker.h"

enum { COUNT = 3 };
static volatile int total;

static void run(struct worker *me) {
    volatile int number = *(int *)me->data;
    pthread_t self = pthread_self();
    worker_turn(me);
    specimen_equal(task_self(), me->tid);
    specimen_equal(getpid(), task_status_number(me->tid, "Tgid"));
    specimen_check(pthread_equal(pthread_self(), self));
    specimen_equal(number, *(int *)me->data);
    total += number;
    worker_turn(me);
}

int main(void) {
    int numbers[COUNT] = {1, 20, 300};
    struct worker *workers[COUNT];
    for (int i = 0; i < COUNT; i++) workers[i] = worker_start(run, &numbers[i]);

    specimen_ready();
    specimen_wait();

    specimen_equal(task_self(), getpid());
    specimen_equal(task_status_number(getpid(), "Threads"), COUNT + 1);
    for (int i = 0; i < COUNT; i++) worker_step(workers[i]);
    for (int i = 0; i < COUNT; i++) worker_end(workers[i]);
    specimen_equal(total, 321);
    /* Who is joined has told so on its way out, and is gone a moment later. */
    while (task_status_number(getpid(), "Threads") != 1) sched_yield();
    struct worker *another = worker_start(run, &numbers[0]);
    worker_step(another);
    worker_end(another);
    return specimen_pass();
}
