/* specimen: thread-local variables, errno and pthread_self of several threads | group: cpu | needs: nothing */
#include "worker.h"

enum { COUNT = 4 };
static __thread int number = 7;
static __thread char text[64];
static pthread_key_t key;

static void expect(int wanted, void *address) {
    char wanted_text[64];
    snprintf(wanted_text, sizeof wanted_text, "this is thread %d", wanted);
    specimen_equal(errno, wanted + 1000);
    specimen_equal(number, wanted);
    specimen_equal(&number, address);
    specimen_equal_text(text, wanted_text);
    specimen_equal(pthread_getspecific(key), wanted * 3L);
}

static void be(int wanted) {
    number = wanted;
    snprintf(text, sizeof text, "this is thread %d", wanted);
    pthread_setspecific(key, (void *)(wanted * 3L));
}

static void run(struct worker *me) {
    specimen_equal(number, 7);
    int wanted = *(int *)me->data;
    void *address = &number;
    be(wanted);
    sem_post(&me->done);
    errno = wanted + 1000;
    worker_await(&me->go); /* keeps errno, unless a signal interrupts it */
    errno = errno == EINTR ? wanted + 1000 : errno;
    expect(wanted, address);
}

int main(void) {
    int numbers[COUNT] = {11, 12, 13, 14};
    struct worker *workers[COUNT];
    specimen_equal(pthread_key_create(&key, NULL), 0);
    for (int i = 0; i < COUNT; i++) workers[i] = worker_start(run, &numbers[i]);
    be(99);
    void *address = &number;

    specimen_ready();
    specimen_wait();

    errno = 1099;
    expect(99, address);
    for (int i = 0; i < COUNT; i++) worker_end(workers[i]);
    return specimen_pass();
}
