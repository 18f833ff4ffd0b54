/* specimen: alarm(2) that is due in more than an hour, and one that rings | group: time | needs: nothing */
#include "peer.h"
#include "timers.h"

static volatile sig_atomic_t told;
static void tell(int number) { (void)number, told++; }

static void child(struct peer *me) {
    struct sigaction action = {.sa_handler = tell};
    sigaction(SIGALRM, &action, NULL);
    alarm(2);
    peer_turn(me);
    while (!told) sched_yield();
    specimen_equal(alarm(0), 0);
    specimen_equal(told, 1);
}

int main(void) {
    alarm(5000);
    struct peer *peer = peer_start(child);

    specimen_ready();
    specimen_wait();

    timers_expect_left(alarm(0), 5000);
    peer_end(peer);
    return specimen_pass();
}
