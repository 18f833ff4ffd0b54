/* specimen: all sixteen resource limits, soft and hard, lowered in the root but not in a child | group: limits | needs: nothing */
#include "peer.h"

#include <sys/resource.h>

/* RLIMIT_CPU is 0, RLIMIT_RTTIME 15: asm-generic/resource.h. Lower than what is usual, and enough to live with. */
static const struct rlimit wanted[RLIM_NLIMITS] = {
    [RLIMIT_CPU] = {5000, 6000},        [RLIMIT_FSIZE] = {10 << 20, 11 << 20},     [RLIMIT_DATA] = {512 << 20, 600 << 20},
    [RLIMIT_STACK] = {4 << 20, 5 << 20}, [RLIMIT_CORE] = {0, 123456},              [RLIMIT_RSS] = {1 << 30, 1 << 30},
    [RLIMIT_NPROC] = {5000, 6000},      [RLIMIT_NOFILE] = {64, 300},               [RLIMIT_MEMLOCK] = {1 << 20, 2 << 20},
    [RLIMIT_AS] = {1ul << 30, 1ul << 32}, [RLIMIT_LOCKS] = {50, 60},               [RLIMIT_SIGPENDING] = {500, 600},
    [RLIMIT_MSGQUEUE] = {10000, 20000}, [RLIMIT_NICE] = {0, 0},                    [RLIMIT_RTPRIO] = {0, 0},
    [RLIMIT_RTTIME] = {1000000, 2000000},
};

static void get(struct rlimit *limits) {
    for (int i = 0; i < (int)RLIM_NLIMITS; i++) specimen_equal(getrlimit(i, &limits[i]), 0);
}
static void expect(const struct rlimit *limits) {
    struct rlimit found[RLIM_NLIMITS];
    get(found);
    for (int i = 0; i < (int)RLIM_NLIMITS; i++)
        if (found[i].rlim_cur != limits[i].rlim_cur || found[i].rlim_max != limits[i].rlim_max)
            specimen_fail("limit %d is %lu, %lu, not %lu, %lu", i, found[i].rlim_cur, found[i].rlim_max, limits[i].rlim_cur,
                          limits[i].rlim_max);
}

static void child(struct peer *me) {
    struct rlimit before[RLIM_NLIMITS];
    get(before);
    peer_turn(me);
    expect(before);
}

int main(void) {
    struct rlimit limits[RLIM_NLIMITS];
    struct peer *peer = peer_start(child);
    get(limits);
    for (int i = 0; i < (int)RLIM_NLIMITS; i++) {
        if (wanted[i].rlim_max < limits[i].rlim_max) limits[i].rlim_max = wanted[i].rlim_max;
        if (wanted[i].rlim_cur < limits[i].rlim_max) limits[i].rlim_cur = wanted[i].rlim_cur;
        else limits[i].rlim_cur = limits[i].rlim_max;
        specimen_equal(setrlimit(i, &limits[i]), 0);
    }

    specimen_ready();
    specimen_wait();

    expect(limits);
    specimen_equal(dup2(0, 64), -1);
    specimen_equal(dup2(0, 63), 63);
    peer_end(peer);
    return specimen_pass();
}
