/* specimen: SIGTRAP: ignored by a process; blocked, with a handler, and pending for its child as a whole | group: signals | needs: nothing */
#include "signals.h"

static volatile sig_atomic_t hits;
static void hit(int number) { (void)number, hits++; }

static void child(struct peer *me) {
    specimen_check(signal(SIGTRAP, hit) != SIG_ERR);
    signals_set_mask(signals_bit(SIGTRAP));
    specimen_equal(kill(getpid(), SIGTRAP), 0);
    peer_turn(me);
    specimen_equal(task_status_hex(getpid(), "ShdPnd"), signals_bit(SIGTRAP));
    specimen_equal(hits, 0);
    signals_set_mask(0);
    specimen_equal(hits, 1);
    specimen_equal(kill(getpid(), SIGTRAP), 0);
    specimen_equal(hits, 2);
}

int main(void) {
    struct signals_action action = {.handler = (uint64_t)SIG_IGN, .flags = SA_NODEFER};
    signals_set(SIGTRAP, &action);
    struct peer *peer = peer_start(child);

    specimen_ready();
    specimen_wait();

    specimen_equal(signals_get(SIGTRAP).handler, SIG_IGN);
    specimen_equal(signals_get(SIGTRAP).flags & SA_NODEFER, SA_NODEFER);
    specimen_equal(kill(getpid(), SIGTRAP), 0);
    peer_end(peer);
    return specimen_pass();
}
