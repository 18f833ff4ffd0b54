/* specimen: a process group whose leader is dead and collected, with two members left | group: tree | needs: nothing */
#include "peer.h"

static volatile sig_atomic_t hits;
static void hit(int number) { (void)number, hits++; }

static void leader(struct peer *me) {
    setpgid(0, 0);
    peer_turn(me);
}

static void member(struct peer *me) {
    struct sigaction action = {.sa_handler = hit};
    sigaction(SIGUSR1, &action, NULL);
    peer_turn(me);
    specimen_equal(hits, 1);
}

int main(void) {
    struct peer *first = peer_start(leader), *one = peer_start(member), *other = peer_start(member);
    pid_t group = first->pid;
    specimen_equal(setpgid(one->pid, group), 0);
    specimen_equal(setpgid(other->pid, group), 0);
    peer_end(first);

    specimen_ready();
    specimen_wait();

    specimen_equal(getpgid(one->pid), group);
    specimen_equal(getpgid(other->pid), group);
    specimen_equal(kill(group, 0), -1);
    specimen_equal(errno, ESRCH);
    specimen_equal(kill(-group, SIGUSR1), 0);
    peer_end(one);
    peer_end(other);
    specimen_equal(kill(-group, 0), -1);
    return specimen_pass();
}
