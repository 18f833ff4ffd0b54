/* specimen: handlers of all 62 catchable signals, with flags, restorer and mask, each different | group: signals | needs: nothing */
#include "signals.h"

static void handler(int number) { (void)number; }

/* Every combination that the kernel keeps: SA_NOCLDSTOP 1, SA_NOCLDWAIT 2, SA_SIGINFO 4, SA_RESTORER, SA_ONSTACK,
 * SA_RESTART, SA_NODEFER, SA_RESETHAND. The addresses need not lead anywhere: nobody sends these signals. */
static struct signals_action unlike(int number) {
    static const uint64_t bits[] = {1, 2, 4, 0x08000000, 0x10000000, 0x40000000, 0x80000000};
    struct signals_action action = {(uint64_t)handler + 16 * number, 0, 0x700000000000 + number, 0};
    for (int i = 0; i < 7; i++)
        if (number >> i % 6 & 1) action.flags |= bits[i];
    action.flags |= 0x04000000; /* SA_RESTORER, without which x86-64 takes no handler */
    action.mask = 0x9e3779b97f4a7c15u * number & ~(signals_bit(SIGKILL) | signals_bit(SIGSTOP));
    return action;
}

int main(void) {
    struct signals_action before[65];
    for (int number = 1; number <= 64; number++) {
        struct signals_action action = unlike(number);
        if (number != SIGKILL && number != SIGSTOP) signals_set(number, &action);
    }

    specimen_ready();
    for (int number = 1; number <= 64; number++) before[number] = signals_get(number);
    specimen_wait();

    for (int number = 1; number <= 64; number++) {
        struct signals_action after = signals_get(number), wanted = unlike(number);
        if (memcmp(&after, &before[number], sizeof after) != 0)
            specimen_fail("signal %d: handler %#lx flags %#lx restorer %#lx mask %#lx, not %#lx %#lx %#lx %#lx", number,
                          after.handler, after.flags, after.restorer, after.mask, before[number].handler,
                          before[number].flags, before[number].restorer, before[number].mask);
        if (number == SIGKILL || number == SIGSTOP || number == SIGTERM) continue;
        specimen_equal(after.handler, wanted.handler);
        specimen_equal(after.mask, wanted.mask);
    }
    return specimen_pass();
}
