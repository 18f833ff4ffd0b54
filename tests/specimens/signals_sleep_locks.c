/* specimen: threads that wait for a semaphore, a mutex, a read-write lock, a barrier and a priority-inheriting mutex | group: signals | needs: nothing */
#include "sleeper.h"

#include <semaphore.h>

static sem_t semaphore;
static pthread_mutex_t plain = PTHREAD_MUTEX_INITIALIZER, inheriting;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t barrier;
static struct timespec then;

static long wait_semaphore(void) { return sem_timedwait(&semaphore, &then); }
static long wait_plain(void) { return pthread_mutex_lock(&plain) + pthread_mutex_unlock(&plain); }
static long wait_inheriting(void) { return pthread_mutex_lock(&inheriting) + pthread_mutex_unlock(&inheriting); }
static long wait_rwlock(void) { return pthread_rwlock_rdlock(&rwlock) + pthread_rwlock_unlock(&rwlock); }
static long wait_barrier(void) { return pthread_barrier_wait(&barrier); }

int main(void) {
    pthread_mutexattr_t kind;
    clock_gettime(CLOCK_REALTIME, &then);
    then.tv_sec += 3600;
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_setprotocol(&kind, PTHREAD_PRIO_INHERIT);
    specimen_equal(pthread_mutex_init(&inheriting, &kind), 0);
    specimen_equal(sem_init(&semaphore, 0, 0), 0);
    specimen_equal(pthread_barrier_init(&barrier, NULL, 2), 0);
    pthread_mutex_lock(&plain), pthread_mutex_lock(&inheriting), pthread_rwlock_wrlock(&rwlock);
    long (*const waits[])(void) = {wait_semaphore, wait_plain, wait_inheriting, wait_rwlock, wait_barrier};
    struct sleeper *sleepers[5];
    for (int i = 0; i < 5; i++) sleepers[i] = sleeper_start(waits[i], SYS_futex);

    specimen_ready();
    specimen_wait();

    for (int i = 0; i < 5; i++) sleeper_still(sleepers[i]);
    sem_post(&semaphore);
    pthread_mutex_unlock(&plain), pthread_mutex_unlock(&inheriting), pthread_rwlock_unlock(&rwlock);
    int serial = pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD;
    for (int i = 0; i < 4; i++) sleeper_returns(sleepers[i], 0, 0);
    sleeper_returns(sleepers[4], serial ? 0 : PTHREAD_BARRIER_SERIAL_THREAD, 0);
    return specimen_pass();
}
