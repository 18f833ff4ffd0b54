/* specimen: a thread that waits at an idle io_uring for what another will ask of it waits on | group: objects | needs: root, io_uring with its structures in BTF */
#include "sleeper.h"
#include "uring.h"

static struct uring ring;
static long wait_there(void) { return uring_enter(&ring, 0, 1); }

int main(void) {
    ring = uring_make(8, 0, 0);
    struct sleeper *sleeper = sleeper_start(wait_there, SYS_io_uring_enter);

    specimen_ready();
    specimen_wait();

    sleeper_still(sleeper);
    uring_next(&ring, 7);
    specimen_equal(uring_submit(&ring, 0), 1);
    sleeper_returns(sleeper, 0, 0);
    uring_expect(&ring, 7, 0);
    return specimen_pass();
}
