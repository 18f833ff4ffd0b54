/* specimen: PID namespaces five levels deep, an ordinary process beside the init of each | group: ns | needs: root, new namespaces */
#include "ns.h"

struct level {
    int depth;
    char numbers[2][128];
};

static void ordinary(struct peer *me) {
    struct level *level = me->data;
    ns_numbers(level->numbers[1], sizeof level->numbers[1]);
    pid_t own = getpid(), parent = getppid();
    specimen_equal(parent, 1);
    peer_turn(me);
    char now[128];
    ns_numbers(now, sizeof now);
    specimen_equal_text(now, level->numbers[1]);
    specimen_equal(getpid(), own);
    specimen_equal(getppid(), parent);
}

static void first(struct peer *me) {
    struct level *level = me->data;
    struct level next = {.depth = level->depth + 1};
    struct peer *below = NULL;
    specimen_equal(getpid(), 1);
    specimen_equal(getppid(), 0);
    ns_numbers(level->numbers[0], sizeof level->numbers[0]);
    struct peer *beside = peer_start_with(ordinary, level);
    if (level->depth < 5) below = ns_start(first, &next);
    pid_t there = beside->pid, inner = below ? below->pid : 0;
    peer_turn(me);
    char now[128];
    ns_numbers(now, sizeof now);
    specimen_equal_text(now, level->numbers[0]);
    specimen_equal(getpid(), 1);
    specimen_equal(getppid(), 0);
    if (below) specimen_equal(kill(inner, 0), 0);
    specimen_equal(kill(there, 0), 0);
    if (below) peer_end(below);
    peer_end(beside);
    pid_t pid = fork(); /* numbers go on to be given out */
    if (pid == 0) _exit(7);
    int status;
    specimen_equal(waitpid(pid, &status, 0), pid);
    specimen_equal(WEXITSTATUS(status), 7);
}

int main(void) {
    ns_need(CLONE_NEWPID);
    struct level level = {.depth = 1};
    struct peer *peer = ns_start(first, &level);

    specimen_ready();
    specimen_wait();

    peer_end(peer);
    return specimen_pass();
}
