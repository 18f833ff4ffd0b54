/* specimen: timers that are not armed: never, no more, and after they went off; they can be armed later | group: time | needs: nothing */
#include "timers.h"

enum { COUNT = 3 };

int main(void) {
    int ids[COUNT];
    timers_block(SIGUSR1);
    for (int i = 0; i < COUNT; i++) {
        struct sigevent event = timers_event(SIGEV_SIGNAL, SIGUSR1, i, 0);
        ids[i] = timers_create(CLOCK_MONOTONIC, &event);
    }
    timers_set(ids[1], 1000, 1000);
    timers_set(ids[1], 0, 0);
    timers_set(ids[2], 0.001, 0);
    timers_expect_signal(SIGUSR1, ids[2], 2);

    specimen_ready();
    specimen_wait();

    timers_expect_no_signal(SIGUSR1);
    for (int i = 0; i < COUNT; i++) {
        struct itimerspec found = timers_get(ids[i]);
        specimen_check(found.it_value.tv_sec == 0 && found.it_value.tv_nsec == 0);
        timers_set(ids[i], 0.001, 0);
        timers_expect_signal(SIGUSR1, ids[i], i);
    }
    return specimen_pass();
}
