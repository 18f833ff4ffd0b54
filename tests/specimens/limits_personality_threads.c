/* specimen: personality flags of a single thread | group: limits | needs: nothing */
#include "worker.h"

#include <sys/personality.h>

static void run(struct worker *me) {
    specimen_check(personality(WHOLE_SECONDS | STICKY_TIMEOUTS) >= 0);
    worker_turn(me);
    specimen_equal(personality(0xffffffff), WHOLE_SECONDS | STICKY_TIMEOUTS);
}

int main(void) {
    struct worker *worker = worker_start(run, NULL);
    int own = personality(0xffffffff);

    specimen_ready();
    specimen_wait();

    specimen_equal(personality(0xffffffff), own);
    worker_end(worker);
    return specimen_pass();
}
