/* specimen: a timer that runs a function in a new thread (SIGEV_THREAD of timer_create(3)) | group: time | needs: nothing */
#include "timers.h"

#include <semaphore.h>

static sem_t done;
static volatile int seen;

static void function(union sigval value) {
    seen = value.sival_int;
    sem_post(&done);
}

int main(void) {
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = function, .sigev_value.sival_int = 88};
    struct itimerspec far = {{0, 0}, {7000, 0}}, near = {{0, 0}, {0, 1000000}}, found;
    specimen_equal(sem_init(&done, 0, 0), 0);
    specimen_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    specimen_equal(timer_settime(timer, 0, &far, NULL), 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(seen, 0);
    specimen_equal(timer_gettime(timer, &found), 0);
    timers_expect_left(timers_seconds(found.it_value), 7000);
    specimen_equal(timer_settime(timer, 0, &near, NULL), 0);
    while (sem_wait(&done) != 0) {}
    specimen_equal(seen, 88);
    return specimen_pass();
}
