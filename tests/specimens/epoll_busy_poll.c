/* specimen: epoll that polls network devices (EPIOCSPARAMS) | group: events | needs: epoll parameters */
#include "events.h"

#ifndef EPIOCSPARAMS
struct epoll_params { uint32_t busy_poll_usecs; uint16_t busy_poll_budget; uint8_t prefer_busy_poll, pad; };
#define EPIOCSPARAMS _IOW(0x8A, 1, struct epoll_params)
#define EPIOCGPARAMS _IOR(0x8A, 2, struct epoll_params)
#endif

int main(void) {
    int epoll = epoll_create1(0);
    struct epoll_params params = {.busy_poll_usecs = 70, .busy_poll_budget = 16, .prefer_busy_poll = 1};
    if (ioctl(epoll, EPIOCSPARAMS, &params)) specimen_skip("no EPIOCSPARAMS: %s", strerror(errno));

    specimen_ready();
    specimen_wait();

    memset(&params, 0, sizeof params);
    specimen_equal(ioctl(epoll, EPIOCGPARAMS, &params), 0);
    specimen_equal(params.busy_poll_usecs, 70);
    specimen_equal(params.busy_poll_budget, 16);
    specimen_equal(params.prefer_busy_poll, 1);
    return specimen_pass();
}
