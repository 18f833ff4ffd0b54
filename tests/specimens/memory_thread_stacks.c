/* specimen: stacks of threads: kept content, guard page, deep recursion afterwards | group: memory | needs: nothing */
#include "memory.h"

#include <pthread.h>
#include <semaphore.h>

enum { THREADS = 4 };
static sem_t set_up, go;

__attribute__((noinline)) static long descend(int levels) {
    volatile unsigned char frame[65536];
    frame[0] = levels, frame[65535] = 1;
    long below = levels ? descend(levels - 1) : 0;
    return below + frame[0] + frame[65535];
}

static void *run(void *argument) {
    long number = (long)argument;
    unsigned char local[200000];
    sigset_t all;
    sigfillset(&all); /* SIGTERM is for the main thread */
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    memory_fill(local, sizeof local, number);
    sem_post(&set_up);
    while (sem_wait(&go) != 0) {}
    memory_check(local, sizeof local, number);
    specimen_equal(descend(100), 5050 + 101);
    memory_check(local, sizeof local, number);
    return (void *)(number * 10);
}

int main(void) {
    pthread_t threads[THREADS];
    sem_init(&set_up, 0, 0), sem_init(&go, 0, 0);
    for (long i = 0; i < THREADS; i++) specimen_equal(pthread_create(&threads[i], NULL, run, (void *)(i + 1)), 0);
    for (int i = 0; i < THREADS; i++)
        while (sem_wait(&set_up) != 0) {}

    specimen_ready();
    specimen_wait();

    for (long i = 0; i < THREADS; i++) {
        pthread_attr_t attributes;
        void *stack;
        size_t size;
        pthread_getattr_np(threads[i], &attributes);
        pthread_attr_getstack(&attributes, &stack, &size);
        specimen_equal(memory_probe((char *)stack - 1, 0), SIGSEGV);
        sem_post(&go);
    }
    for (long i = 0; i < THREADS; i++) {
        void *result;
        specimen_equal(pthread_join(threads[i], &result), 0);
        specimen_equal((long)result, (i + 1) * 10);
    }
    return specimen_pass();
}
