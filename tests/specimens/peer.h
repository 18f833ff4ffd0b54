/* Peers: children of a specimen that go on step by step, as the specimen tells them.
 *
 * A peer runs one function. Whenever that function calls peer_turn, the child sleeps, and the specimen
 * goes on; peer_step in the specimen lets the child run up to its next peer_turn:
 *
 *     static void child(struct peer *me) { …set up… peer_turn(me); …check… }
 *     struct peer *peer = peer_start(child);      returns when the child is in its first peer_turn
 *     specimen_ready(); specimen_wait();
 *     peer_end(peer);                             the last step; fails unless the child has ended with 0
 *
 * The two semaphores live in shared anonymous memory, so that a peer costs no descriptor. A child that
 * finds something wrong says so with specimen_fail, which ends it with 1; the specimen sees that at its
 * next step and fails as well.
 */
#ifndef PEER_H
#define PEER_H

#include "specimen.h"

#include <sched.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

struct peer {
    sem_t go;    /* posted by the specimen: the child may make its next step */
    sem_t done;  /* posted by the child: the step is made */
    pid_t pid;
    void *data;  /* whatever the specimen wants to share, see peer_shared */
};

/* Zeroed memory that this process and the children it will have share. */
static inline void *peer_shared(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    specimen_check(memory != MAP_FAILED);
    return memory;
}

static inline void peer_await(sem_t *semaphore) {
    while (sem_wait(semaphore) != 0) specimen_check(errno == EINTR);
}

/* In the child: the step is made, sleep until the specimen wants the next one. */
static inline void peer_turn(struct peer *me) {
    sem_post(&me->done);
    peer_await(&me->go);
}

/* In the specimen: wait for the end of the step. A child that died meanwhile makes the specimen fail, and so does
 * one that does not answer for 20 s: perhaps the memory that the two share is no longer the same. The wait is cut
 * into slices because nobody posts for a dead child. */
static inline void peer_wait(struct peer *peer) {
    for (int slice = 0; slice < 200; slice++) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 100 * 1000 * 1000;
        if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
        if (sem_timedwait(&peer->done, &until) == 0) return;
        specimen_check(errno == ETIMEDOUT || errno == EINTR);
        int status = 0;
        if (waitpid(peer->pid, &status, WNOHANG) == peer->pid)
            specimen_fail("child %d ended early, wait status %#x", (int)peer->pid, status);
    }
    specimen_fail("child %d does not answer", (int)peer->pid);
}

/* Let the child go on without waiting for it: for a step that blocks until the specimen does something. */
static inline void peer_tell(struct peer *peer) { sem_post(&peer->go); }

static inline void peer_step(struct peer *peer) {
    peer_tell(peer);
    peer_wait(peer);
}

/* Collect the child: it must have ended, or be about to end, with status 0. */
static inline void peer_reap(struct peer *peer) {
    int status = 0;
    pid_t got;
    do got = waitpid(peer->pid, &status, 0);
    while (got < 0 && errno == EINTR);
    specimen_equal(got, peer->pid);
    if (status != 0) specimen_fail("child %d: wait status %#x", (int)peer->pid, status);
}

static inline void peer_end(struct peer *peer) {
    peer_tell(peer);
    peer_reap(peer);
}

/* Start a child with more or less shared than fork does (CLONE_FILES, CLONE_FS, …: no CLONE_VM), which is told by way of
 * *peer*, shared memory. The child has the default SIGTERM and ends with 0 when *run* returns. */
static inline struct peer *peer_start_at(
    struct peer *peer, void (*run)(struct peer *), unsigned long clone_flags, void *data) {
    specimen_check(sem_init(&peer->go, 1, 0) == 0 && sem_init(&peer->done, 1, 0) == 0);
    peer->data = data;
    fflush(stdout);
    pid_t pid = clone_flags ? (pid_t)syscall(SYS_clone, clone_flags | SIGCHLD, 0, 0, 0, 0) : fork();
    specimen_check(pid >= 0);
    if (pid == 0) {
        peer->pid = getpid();
        run(peer);
        fflush(stdout);
        _exit(0);
    }
    peer->pid = pid;
    peer_wait(peer);
    peer->pid = pid; /* the child has written what it is called in its own PID namespace */
    return peer;
}

static inline struct peer *peer_start_sharing(void (*run)(struct peer *), unsigned long clone_flags, void *data) {
    return peer_start_at(peer_shared(sizeof(struct peer)), run, clone_flags, data);
}

static inline struct peer *peer_start(void (*run)(struct peer *)) { return peer_start_sharing(run, 0, NULL); }
static inline struct peer *peer_start_with(void (*run)(struct peer *), void *data) {
    return peer_start_sharing(run, 0, data);
}

/* Wait until *pid* sleeps inside system call *number*, as /proc/PID/syscall says: a fact, not a guess in
 * milliseconds. The file reads "running" while the task is on a CPU. */
static inline void peer_await_call(pid_t pid, long number) {
    char path[64], text[64], wanted[32];
    snprintf(path, sizeof path, "/proc/%d/syscall", (int)pid);
    int wanted_length = snprintf(wanted, sizeof wanted, "%ld ", number);
    for (;;) {
        FILE *file = fopen(path, "r");
        specimen_check(file);
        char *got = fgets(text, sizeof text, file);
        fclose(file);
        if (got && strncmp(text, wanted, wanted_length) == 0) return;
        sched_yield();
    }
}

#endif
