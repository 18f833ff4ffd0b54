/* specimen: threads in sigwaitinfo(2) and sigtimedwait(2) sleep on, and get the signal that comes | group: signals | needs: nothing */
#include "signals.h"
#include "sleeper.h"

static siginfo_t infos[2];
static uint64_t sets[2];
static struct timespec hour = {3600, 0};

/* While it waits the kernel lets the awaited signals in, and keeps the true mask aside: that is what must survive. */
static long wait_there(int which, struct timespec *limit) {
    uint64_t outside = signals_mask();
    long result = syscall(SYS_rt_sigtimedwait, &sets[which], &infos[which], limit, 8);
    int saved = errno;
    specimen_equal(signals_mask(), outside);
    errno = saved;
    return result;
}
static long endless(void) { return wait_there(0, NULL); }
static long limited(void) { return wait_there(1, &hour); }

int main(void) {
    sets[0] = signals_bit(SIGUSR1) | signals_bit(45), sets[1] = signals_bit(46);
    signals_set_mask(sets[0] | sets[1]);
    struct sleeper *one = sleeper_start(endless, SYS_rt_sigtimedwait), *other = sleeper_start(limited, SYS_rt_sigtimedwait);

    specimen_ready();
    specimen_wait();

    sleeper_still(one);
    sleeper_still(other);
    specimen_equal(task_status_hex(getpid(), "ShdPnd"), 0);
    signals_queue_thread(one->tid, 45, 450);
    sleeper_returns(one, 45, 0);
    specimen_equal(infos[0].si_value.sival_int, 450);
    signals_queue(getpid(), 46, 460);
    sleeper_returns(other, 46, 0);
    specimen_equal(infos[1].si_value.sival_int, 460);
    return specimen_pass();
}
