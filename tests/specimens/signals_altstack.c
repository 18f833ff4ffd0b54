/* specimen: alternate signal stack of every thread: set, set with SS_AUTODISARM, not set; a handler runs on it | group: signals | needs: nothing */
#include "signals.h"

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif
enum { SIZE = 65536 };

struct wanted {
    char *stack; /* NULL: none */
    int flags;
};
static __thread char *volatile seen;
static void look(int number) {
    (void)number;
    seen = __builtin_frame_address(0);
}

static void expect(const struct wanted *wanted) {
    stack_t found;
    specimen_equal(sigaltstack(NULL, &found), 0);
    specimen_equal(found.ss_flags, wanted->flags);
    if (wanted->stack) {
        specimen_equal(found.ss_sp, wanted->stack);
        specimen_equal(found.ss_size, SIZE);
    }
    specimen_equal(raise(SIGUSR1), 0);
    specimen_equal(wanted->stack && seen > wanted->stack && seen < wanted->stack + SIZE, wanted->stack != NULL);
}

static void run(struct worker *me) {
    struct wanted *wanted = me->data;
    stack_t stack = {.ss_sp = wanted->stack, .ss_size = SIZE, .ss_flags = wanted->flags};
    if (wanted->stack) specimen_equal(sigaltstack(&stack, NULL), 0);
    worker_turn(me);
    expect(wanted);
}

int main(void) {
    struct wanted kinds[] = {{malloc(SIZE), 0}, {malloc(SIZE), (int)SS_AUTODISARM}, {NULL, SS_DISABLE}};
    struct worker *workers[3];
    struct sigaction action = {.sa_handler = look, .sa_flags = SA_ONSTACK};
    sigaction(SIGUSR1, &action, NULL);
    for (int i = 0; i < 3; i++) workers[i] = worker_start(run, &kinds[i]);
    struct wanted own = {malloc(SIZE), 0};
    specimen_equal(sigaltstack(&(stack_t){.ss_sp = own.stack, .ss_size = SIZE}, NULL), 0);

    specimen_ready();
    specimen_wait();

    expect(&own);
    for (int i = 0; i < 3; i++) worker_end(workers[i]);
    return specimen_pass();
}
