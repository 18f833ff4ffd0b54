/* Workers: threads of a specimen that go on step by step, as the specimen tells them; what peer.h is for children.
 *
 *     static void run(struct worker *me) { …set up… worker_turn(me); …check… }
 *     struct worker *worker = worker_start(run, data);   returns when the thread is in its first worker_turn
 *     specimen_ready(); specimen_wait();
 *     worker_end(worker);                                the last step, and pthread_join
 */
#ifndef WORKER_H
#define WORKER_H

#include "task.h"

#include <pthread.h>
#include <semaphore.h>

struct worker {
    sem_t go;   /* posted by the specimen: the thread may make its next step */
    sem_t done; /* posted by the thread: the step is made */
    pthread_t thread;
    pid_t tid;
    void *data;
    void (*run)(struct worker *);
};

static inline void worker_await(sem_t *semaphore) {
    while (sem_wait(semaphore) != 0) specimen_check(errno == EINTR);
}

/* In the thread: the step is made, sleep until the specimen wants the next one. */
static inline void worker_turn(struct worker *me) {
    sem_post(&me->done);
    worker_await(&me->go);
}

static inline void *worker_main_(void *argument) {
    struct worker *me = argument;
    me->tid = task_self();
    me->run(me);
    return me;
}

static inline struct worker *worker_start(void (*run)(struct worker *), void *data) {
    struct worker *worker = calloc(1, sizeof *worker);
    specimen_check(worker);
    worker->run = run;
    worker->data = data;
    specimen_check(sem_init(&worker->go, 0, 0) == 0 && sem_init(&worker->done, 0, 0) == 0);
    specimen_equal(pthread_create(&worker->thread, NULL, worker_main_, worker), 0);
    worker_await(&worker->done);
    return worker;
}

/* Let the thread go on without waiting for it. */
static inline void worker_tell(struct worker *worker) { sem_post(&worker->go); }

static inline void worker_step(struct worker *worker) {
    worker_tell(worker);
    worker_await(&worker->done);
}

static inline void worker_end(struct worker *worker) {
    void *result = NULL;
    worker_tell(worker);
    specimen_equal(pthread_join(worker->thread, &result), 0);
    specimen_equal(result, worker);
}

#endif
