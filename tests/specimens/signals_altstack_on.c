/* specimen: checkpointed in a handler that runs on the alternate stack, which it leaves afterwards | group: signals | needs: nothing */
#include "signals.h"

enum { SIZE = 65536 };
static char *stack;
static volatile int left;

static void handler(int number) {
    char here;
    stack_t found;
    (void)number;
    specimen_check(&here > stack && &here < stack + SIZE);

    specimen_ready();
    specimen_wait();

    specimen_equal(sigaltstack(NULL, &found), 0);
    specimen_equal(found.ss_flags, SS_ONSTACK);
    specimen_equal(found.ss_sp, stack);
    specimen_equal(sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL), -1);
    specimen_equal(errno, EPERM);
    left = 1;
}

int main(void) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
    stack = malloc(SIZE);
    volatile long precious = 0x1234567890;
    specimen_equal(sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = SIZE}, NULL), 0);
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);

    stack_t found;
    specimen_equal(left, 1);
    specimen_equal(precious, 0x1234567890);
    specimen_equal(sigaltstack(NULL, &found), 0);
    specimen_equal(found.ss_flags, 0);
    specimen_equal(found.ss_sp, stack);
    specimen_equal(found.ss_size, SIZE);
    return specimen_pass();
}
