/* Orphans: peers whose parent has ended, adopted by the specimen, which is a subreaper (PR_SET_CHILD_SUBREAPER(2const)). */
#ifndef ORPHAN_H
#define ORPHAN_H

#include "peer.h"

#include <sys/prctl.h>

/* Start *count* peers by way of a child that does *before*, bears them, and ends; the child is collected. Returns
 * the PID that it had. The peers belong to the caller like those of peer_start. */
static inline pid_t orphans_start(struct peer **peers, int count, void (*before)(void), void (*run)(struct peer *)) {
    specimen_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
    for (int i = 0; i < count; i++) {
        peers[i] = peer_shared(sizeof *peers[i]);
        specimen_check(sem_init(&peers[i]->go, 1, 0) == 0 && sem_init(&peers[i]->done, 1, 0) == 0);
    }
    pid_t between = fork();
    specimen_check(between >= 0);
    if (between == 0) {
        if (before) before();
        for (int i = 0; i < count; i++) {
            pid_t pid = fork();
            specimen_check(pid >= 0);
            if (pid == 0) {
                peers[i]->pid = getpid();
                run(peers[i]);
                _exit(0);
            }
            peer_await(&peers[i]->done);
        }
        _exit(0);
    }
    int status = 0;
    specimen_equal(waitpid(between, &status, 0), between);
    specimen_equal(status, 0);
    return between;
}

static inline struct peer *orphan_start(void (*run)(struct peer *)) {
    struct peer *peer;
    orphans_start(&peer, 1, NULL, run);
    return peer;
}

#endif
