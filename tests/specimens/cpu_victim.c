/* specimen: threads that check their arithmetic, mask and sleeps all the time | group: cpu | needs: nothing */
#include "victim.h"

enum { COUNT = 4 };
static volatile int end;
static volatile uint64_t turns[COUNT];

static void *run(void *argument) {
    int number = (int)(long)argument;
    double x = 1.0;
    uint64_t h = number;
    victim_begin(number);
    while (!end) {
        victim_turn(&x, &h, number, 20000, number > 1 ? number : 0);
        turns[number]++;
    }
    return NULL;
}

int main(void) {
    pthread_t threads[COUNT];
    sigset_t term, before;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &term, &before); /* SIGTERM is for the main thread */
    for (long i = 0; i < COUNT; i++) specimen_equal(pthread_create(&threads[i], NULL, run, (void *)i), 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    for (int i = 0; i < COUNT; i++)
        while (!turns[i]) sched_yield();

    specimen_ready();
    specimen_wait();

    uint64_t seen[COUNT];
    for (int i = 0; i < COUNT; i++) seen[i] = turns[i];
    for (int i = 0; i < COUNT; i++)
        while (turns[i] == seen[i]) sched_yield(); /* everybody goes on */
    end = 1;
    for (int i = 0; i < COUNT; i++) specimen_equal(pthread_join(threads[i], NULL), 0);
    return specimen_pass();
}
