/* specimen: threads in wait4(2) and waitid(2) sleep on until the child ends | group: signals | needs: nothing */
#include "peer.h"
#include "sleeper.h"

static struct peer *peers[2];
static int status;
static siginfo_t info;
static long wait4_there(void) { return wait4(peers[0]->pid, &status, 0, NULL); }
static long waitid_there(void) { return waitid(P_PID, peers[1]->pid, &info, WEXITED); }

static void child(struct peer *me) {
    peer_turn(me);
    _exit(me->data ? 81 : 80);
}

int main(void) {
    peers[0] = peer_start(child);
    peers[1] = peer_start_with(child, peers);
    struct sleeper *one = sleeper_start(wait4_there, SYS_wait4), *other = sleeper_start(waitid_there, SYS_waitid);

    specimen_ready();
    specimen_wait();

    sleeper_still(one);
    sleeper_still(other);
    peer_tell(peers[0]);
    sleeper_returns(one, peers[0]->pid, 0);
    specimen_equal(WEXITSTATUS(status), 80);
    peer_tell(peers[1]);
    sleeper_returns(other, 0, 0);
    specimen_equal(info.si_status, 81);
    return specimen_pass();
}
