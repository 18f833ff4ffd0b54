/* specimen: a handler runs as it was asked to: siginfo, mask while it runs, SA_RESETHAND, SA_NODEFER | group: signals | needs: nothing */
#include "signals.h"

static volatile int runs, depth, deepest;
static volatile uint64_t mask_within;
static siginfo_t seen;

static void with_info(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    seen = *info;
    mask_within = signals_mask();
    runs++;
}

static void nests(int number) {
    depth++;
    if (depth > deepest) deepest = depth;
    if (depth < 3) raise(number);
    depth--;
}

int main(void) {
    struct sigaction info = {.sa_sigaction = with_info, .sa_flags = SA_SIGINFO | SA_RESETHAND};
    sigaddset(&info.sa_mask, SIGHUP);
    sigaddset(&info.sa_mask, SIGRTMAX);
    specimen_equal(sigaction(SIGUSR1, &info, NULL), 0);
    struct sigaction nested = {.sa_handler = nests, .sa_flags = SA_NODEFER};
    specimen_equal(sigaction(SIGUSR2, &nested, NULL), 0);

    specimen_ready();
    specimen_wait();

    uint64_t outside = signals_mask();
    specimen_equal(outside, signals_bit(SIGTERM));
    signals_queue(getpid(), SIGUSR1, 12345);
    specimen_equal(runs, 1);
    specimen_equal(seen.si_value.sival_int, 12345);
    specimen_equal(seen.si_code, SI_QUEUE);
    specimen_equal(mask_within, outside | signals_bit(SIGUSR1) | signals_bit(SIGHUP) | signals_bit(SIGRTMAX));
    specimen_equal(signals_mask(), outside);
    specimen_equal(signals_get(SIGUSR1).handler, SIG_DFL);
    raise(SIGUSR2);
    specimen_equal(deepest, 3);
    return specimen_pass();
}
