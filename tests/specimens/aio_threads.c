/* specimen: thread that waits for results of asynchronous input and output (io_getevents), which others ask for | group: objects | needs: root, bpf */
#include "aio.h"

#include <pthread.h>

static aio_context_t context;
static volatile long taken;

static void *take(void *unused) {
    (void)unused;
    for (;;) {
        struct io_event event;
        specimen_equal(syscall(SYS_io_getevents, context, 1, 1, &event, NULL), 1);
        if (event.data == 0) return NULL;
        __atomic_add_fetch(&taken, event.data, __ATOMIC_SEQ_CST);
    }
}

int main(void) {
    context = aio_setup(8);
    pthread_t thread[3];
    specimen_defer();
    for (int i = 0; i < 3; i++) pthread_create(&thread[i], NULL, take, NULL);
    aio_done(context, 50, 1);
    while (taken != 50 * 51 / 2) usleep(1000);

    specimen_ready();
    specimen_wait();

    aio_done(context, 50, 1);
    while (taken != 50 * 51) usleep(1000);
    for (int i = 0; i < 3; i++) {
        aio_done(context, 1, 0);
    }
    for (int i = 0; i < 3; i++) pthread_join(thread[i], NULL);
    aio_expect_none(context);
    return specimen_pass();
}
