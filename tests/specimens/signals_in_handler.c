/* specimen: checkpointed three handlers deep: registers, floating point and masks come back at every return | group: signals | needs: nothing */
#include "signals.h"

static const int numbers[3] = {SIGUSR1, SIGUSR2, SIGHUP};
static volatile int depth;
static uint64_t base;

static void handler(int number) {
    int level = depth++;
    uint64_t mask = base;
    volatile double value = 1.5 * (level + 1);
    for (int i = 0; i <= level; i++) mask |= signals_bit(numbers[i]);
    specimen_equal(number, numbers[level]);
    specimen_equal(signals_mask(), mask);
    if (level < 2) {
        raise(numbers[level + 1]);
        specimen_equal(signals_mask(), mask);
    } else {
        specimen_ready();
        specimen_wait();
        specimen_equal(signals_mask(), mask | signals_bit(SIGTERM));
    }
    specimen_check(value == 1.5 * (level + 1));
    depth--;
}

int main(void) {
    for (int i = 0; i < 3; i++) {
        struct sigaction action = {.sa_handler = handler};
        sigaction(numbers[i], &action, NULL);
    }
    signals_block(SIGRTMIN + 2);
    base = signals_mask();
    volatile double value = 0.25;
    raise(numbers[0]);

    /* Every return from a handler puts back the mask from before it, even that of before specimen_ready. */
    specimen_equal(signals_mask(), base);
    specimen_equal(depth, 0);
    specimen_check(value == 0.25);
    return specimen_pass();
}
