/* specimen: asynchronous request that ends soon, whenever one looks: the checkpoint waits for it | group: objects | needs: root, bpf */
#include "aio.h"

#include <sys/timerfd.h>

int main(void) {
    aio_context_t context = aio_setup(4);
    int timer = timerfd_create(CLOCK_MONOTONIC, 0);
    uint64_t round = 0, ticks;

    specimen_ready();
    specimen_listen();
    while (!specimen_told()) {
        struct itimerspec wait = {.it_value = {.tv_nsec = 200 * 1000 * 1000}};
        specimen_equal(timerfd_settime(timer, 0, &wait, NULL), 0);
        specimen_equal(aio_poll(context, timer, 1, ++round), 1);
        struct io_event event = {0};
        long got;
        while ((got = syscall(SYS_io_getevents, context, 1, 1, &event, NULL)) < 0 && errno == EINTR) continue;
        specimen_equal(got, 1);
        specimen_equal(event.data, round);
        specimen_equal(read(timer, &ticks, sizeof ticks), sizeof ticks);
    }
    aio_expect_none(context);
    return specimen_pass();
}
