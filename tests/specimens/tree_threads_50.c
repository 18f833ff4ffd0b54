/* specimen: fifty threads that wait for one condition variable | group: tree | needs: nothing */
#include "task.h"

#include <pthread.h>

#ifndef COUNT
#define COUNT 50
#endif
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static int go, woken;
static volatile pid_t tids[COUNT];

static void *run(void *argument) {
    int number = (int)(long)argument;
    tids[number] = task_self();
    pthread_mutex_lock(&mutex);
    while (!go) pthread_cond_wait(&condition, &mutex);
    woken++;
    pthread_mutex_unlock(&mutex);
    specimen_equal(task_self(), tids[number]);
    return (void *)(1000L + number);
}

int main(void) {
    pthread_t threads[COUNT];
    for (int i = 0; i < COUNT; i++) specimen_equal(pthread_create(&threads[i], NULL, run, (void *)(long)i), 0);
    for (int i = 0; i < COUNT; i++) {
        while (!tids[i]) sched_yield();
        task_await_call(tids[i], SYS_futex);
    }

    specimen_ready();
    specimen_wait();

    for (int i = 0; i < COUNT; i++) task_await_call(tids[i], SYS_futex);
    pthread_mutex_lock(&mutex);
    specimen_equal(woken, 0);
    go = 1;
    pthread_cond_broadcast(&condition);
    pthread_mutex_unlock(&mutex);
    for (int i = 0; i < COUNT; i++) {
        void *result = NULL;
        specimen_equal(pthread_join(threads[i], &result), 0);
        specimen_equal(result, 1000 + i);
    }
    specimen_equal(woken, COUNT);
    return specimen_pass();
}
