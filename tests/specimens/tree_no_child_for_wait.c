/* specimen: no child but its own for wait, before, while and after it is saved, and no SIGCHLD | group: tree | needs: nothing */
#include "memory.h"
#include "peer.h"

static volatile sig_atomic_t hits;
static void hit(int number) { (void)number, hits++; }

/* So much that it is worth a fork to copy it. */
static void fill(void) { memory_fill(memory_anonymous(4 * MIB, PROT_READ | PROT_WRITE), 4 * MIB, 1); }

static void expect_nobody(void) {
    siginfo_t info;
    specimen_equal(waitpid(-1, NULL, 0), -1);
    specimen_equal(errno, ECHILD);
    specimen_equal(waitpid(0, NULL, WNOHANG | WUNTRACED | WCONTINUED), -1);
    specimen_equal(waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WNOHANG), -1);
    specimen_equal(errno, ECHILD);
}

/* Asks all the time, until it is told to end. */
static void alone(struct peer *me) {
    fill();
    signal(SIGCHLD, hit);
    sem_post(&me->done);
    while (sem_trywait(&me->go) != 0) {
        expect_nobody();
        usleep(100);
    }
    specimen_equal(hits, 0);
    pid_t child = fork();
    if (child == 0) _exit(7);
    int status = 0;
    specimen_equal(waitpid(-1, &status, 0), child);
    specimen_equal(status, 7 << 8);
    expect_nobody();
    _exit(0);
}

/* Blocked in a wait for the only child that it has. */
static pid_t *only;
static void waiting(struct peer *me) {
    pid_t child = fork();
    if (child == 0) {
        for (;;) pause();
    }
    *only = child;
    fill();
    signal(SIGCHLD, hit);
    sem_post(&me->done);
    int status = 0;
    specimen_equal(waitpid(-1, &status, 0), *only);
    specimen_equal(status, SIGKILL);
    specimen_equal(hits, 1);
    expect_nobody();
    _exit(0);
}

int main(void) {
    only = peer_shared(sizeof *only);
    struct peer *asking = peer_start(alone), *blocked = peer_start(waiting);
    specimen_check(*only > 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(kill(*only, SIGKILL), 0);
    peer_reap(blocked);
    peer_end(asking);
    return specimen_pass();
}
