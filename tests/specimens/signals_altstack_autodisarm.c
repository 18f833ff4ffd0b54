/* specimen: checkpointed in a handler on an alternate stack with SS_AUTODISARM, which comes back when it returns | group: signals | needs: nothing */
#include "signals.h"

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif
enum { SIZE = 65536 };
static char *stack;
static volatile int left;

static void handler(int number) {
    stack_t found;
    (void)number;
    specimen_ready();
    specimen_wait();
    specimen_equal(sigaltstack(NULL, &found), 0);
    specimen_equal(found.ss_flags, SS_DISABLE);
    left = 1;
}

int main(void) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
    stack = malloc(SIZE);
    specimen_equal(sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = SIZE, .ss_flags = (int)SS_AUTODISARM}, NULL), 0);
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);

    stack_t found;
    specimen_equal(left, 1);
    specimen_equal(sigaltstack(NULL, &found), 0);
    specimen_equal(found.ss_flags, (int)SS_AUTODISARM);
    specimen_equal(found.ss_sp, stack);
    specimen_equal(found.ss_size, SIZE);
    return specimen_pass();
}
