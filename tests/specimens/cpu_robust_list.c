/* specimen: robust mutex list: the owner dies after the restart, and the other one learns of it | group: cpu | needs: nothing */
#include "peer.h"
#include "worker.h"

#include <linux/futex.h>

static void *list(void) {
    void *head = NULL;
    size_t size = 0;
    specimen_equal(syscall(SYS_get_robust_list, 0, &head, &size), 0);
    specimen_equal(size, sizeof(struct robust_list_head));
    return head;
}

static void own_and_die(struct peer *me) {
    void *head = list();
    specimen_equal(pthread_mutex_lock(me->data), 0);
    peer_turn(me);
    specimen_equal(list(), head);
    _exit(0);
}

static void thread(struct worker *me) {
    void *head = list();
    specimen_equal(pthread_mutex_lock(me->data), 0);
    worker_turn(me);
    specimen_equal(list(), head);
}

int main(void) {
    pthread_mutexattr_t kind;
    pthread_mutex_t *mutexes = peer_shared(2 * sizeof *mutexes);
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
    for (int i = 0; i < 2; i++) specimen_equal(pthread_mutex_init(&mutexes[i], &kind), 0);
    struct peer *peer = peer_start_with(own_and_die, &mutexes[0]);
    struct worker *worker = worker_start(thread, &mutexes[1]);
    void *head = list();

    specimen_ready();
    specimen_wait();

    specimen_equal(list(), head);
    for (int i = 0; i < 2; i++) specimen_equal(pthread_mutex_trylock(&mutexes[i]), EBUSY);
    peer_end(peer);
    specimen_equal(pthread_mutex_lock(&mutexes[0]), EOWNERDEAD);
    worker_end(worker);
    specimen_equal(pthread_mutex_lock(&mutexes[1]), EOWNERDEAD);
    for (int i = 0; i < 2; i++) specimen_equal(pthread_mutex_consistent(&mutexes[i]), 0);
    return specimen_pass();
}
