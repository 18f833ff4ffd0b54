/* specimen: capabilities of single threads | group: limits | needs: root */
#include "capabilities.h"
#include "worker.h"

static void run(struct worker *me) {
    struct capabilities wanted = capabilities_get();
    wanted.effective &= ~*(uint64_t *)me->data;
    wanted.inheritable = wanted.permitted & *(uint64_t *)me->data;
    capabilities_set(&wanted);
    worker_turn(me);
    capabilities_expect(&wanted);
}

int main(void) {
    static uint64_t without[2] = {CAPABILITY(CAP_CHOWN), CAPABILITY(CAP_CHOWN) | CAPABILITY(CAP_FOWNER) | CAPABILITY(CAP_KILL)};
    struct capabilities own = capabilities_get();
    struct worker *workers[] = {worker_start(run, &without[0]), worker_start(run, &without[1])};

    specimen_ready();
    specimen_wait();

    capabilities_expect(&own);
    for (int i = 0; i < 2; i++) worker_end(workers[i]);
    return specimen_pass();
}
