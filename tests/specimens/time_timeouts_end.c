/* specimen: timeouts of three seconds (poll, select, futex, sigtimedwait, sem_timedwait) end, and none of them early | group: time | needs: nothing */
#include "sleeper.h"

#include <poll.h>
#include <semaphore.h>
#include <sys/select.h>

enum { SECONDS = 3, COUNT = 5 };
static double ended[COUNT];
static int word;
static sem_t semaphore;
static struct timespec span = {SECONDS, 0}, moment;

static long end(int which, long result) {
    int saved = errno;
    ended[which] = sleeper_clock(CLOCK_MONOTONIC);
    errno = saved;
    return result;
}
static long by_poll(void) { return end(0, syscall(SYS_poll, NULL, 0, SECONDS * 1000)); }
static long by_select(void) { return end(1, select(0, NULL, NULL, NULL, &(struct timeval){SECONDS, 0})); }
static long by_futex(void) { return end(2, syscall(SYS_futex, &word, 0, 0, &span, NULL, 0)); }
static long by_signal(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    return end(3, sigtimedwait(&set, NULL, &span));
}
static long by_semaphore(void) { return end(4, sem_timedwait(&semaphore, &moment)); }

int main(void) {
    static long (*const calls[COUNT])(void) = {by_poll, by_select, by_futex, by_signal, by_semaphore};
    static const long numbers[COUNT] = {SYS_poll, SYS_pselect6, SYS_futex, SYS_rt_sigtimedwait, SYS_futex};
    static const long results[COUNT] = {0, 0, -1, -1, -1};
    static const int errors[COUNT] = {0, 0, ETIMEDOUT, EAGAIN, ETIMEDOUT};
    struct sleeper *sleepers[COUNT];
    specimen_equal(sem_init(&semaphore, 0, 0), 0);
    double started = sleeper_clock(CLOCK_MONOTONIC);
    clock_gettime(CLOCK_REALTIME, &moment);
    moment.tv_sec += SECONDS;
    for (int i = 0; i < COUNT; i++) sleepers[i] = sleeper_start(calls[i], numbers[i]);

    specimen_ready();
    specimen_wait();

    for (int i = 0; i < COUNT; i++) {
        sleeper_returns(sleepers[i], results[i], errors[i]);
        if (ended[i] < started + SECONDS) specimen_fail("call %d ended %f s early", i, started + SECONDS - ended[i]);
    }
    return specimen_pass();
}
