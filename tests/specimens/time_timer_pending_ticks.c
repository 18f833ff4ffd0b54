/* specimen: a timer that ticks while its signal is blocked and pending: one signal, and it ticks on | group: time | needs: nothing */
#include "timers.h"

int main(void) {
    timers_block(SIGRTMIN + 4);
    struct sigevent event = timers_event(SIGEV_SIGNAL, SIGRTMIN + 4, 41, 0);
    int id = timers_create(CLOCK_MONOTONIC, &event);
    timers_set(id, 0.01, 0.01);
    while (!(task_status_hex(getpid(), "ShdPnd") >> (SIGRTMIN + 3) & 1)) sched_yield();

    specimen_ready();
    specimen_wait();

    specimen_equal(timers_get(id).it_interval.tv_nsec, 10 * 1000 * 1000);
    for (int i = 0; i < 5; i++) timers_expect_signal(SIGRTMIN + 4, id, 41);
    return specimen_pass();
}
