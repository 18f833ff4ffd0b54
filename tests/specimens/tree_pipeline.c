/* specimen: process groups of two pipelines: a signal to a group reaches all of it and nobody else | group: tree | needs: nothing */
#include "peer.h"

enum { MEMBERS = 3 };
static volatile sig_atomic_t hits;

static void hit(int number) { (void)number, hits++; }

static void member(struct peer *me) {
    struct sigaction action = {.sa_handler = hit};
    sigaction(SIGUSR1, &action, NULL);
    peer_turn(me);
    /* The signal was sent before this step was told, so it has been delivered by now. */
    specimen_equal(hits, 1);
    peer_turn(me);
    specimen_equal(hits, 1);
}

int main(void) {
    struct peer *pipes[2][MEMBERS];
    for (int p = 0; p < 2; p++)
        for (int i = 0; i < MEMBERS; i++) {
            pipes[p][i] = peer_start(member);
            specimen_equal(setpgid(pipes[p][i]->pid, pipes[p][0]->pid), 0);
        }
    pid_t own = getpgrp();

    specimen_ready();
    specimen_wait();

    specimen_equal(getpgrp(), own);
    for (int p = 0; p < 2; p++)
        for (int i = 0; i < MEMBERS; i++) specimen_equal(getpgid(pipes[p][i]->pid), pipes[p][0]->pid);
    for (int p = 0; p < 2; p++) {
        specimen_equal(kill(-pipes[p][0]->pid, SIGUSR1), 0);
        for (int i = 0; i < MEMBERS; i++) peer_step(pipes[p][i]);
    }
    for (int p = 0; p < 2; p++)
        for (int i = MEMBERS - 1; i >= 0; i--) {
            peer_tell(pipes[p][i]);
            specimen_equal(waitpid(-pipes[p][0]->pid, NULL, 0), pipes[p][i]->pid);
        }
    return specimen_pass();
}
