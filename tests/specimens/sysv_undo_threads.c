/* specimen: System V semaphores to be undone when the last of several threads ends | group: objects | needs: root */
#include "sysv.h"

#include <pthread.h>

static int id;

static void *thread(void *nothing) {
    sysv_operate(id, 0, -1, SEM_UNDO);
    return nothing;
}

static void *waiter(void *nothing) {
    pause();
    return nothing;
}

static void child(struct peer *me) {
    pthread_t one, two;
    specimen_check(pthread_create(&one, NULL, thread, NULL) == 0 && pthread_create(&two, NULL, waiter, NULL) == 0);
    specimen_check(pthread_join(one, NULL) == 0);
    sysv_operate(id, 0, -1, SEM_UNDO);
    peer_turn(me);
}

int main(void) {
    sysv_namespace();
    id = semget(IPC_PRIVATE, 1, IPC_CREAT | 0600);
    sysv_set(id, 0, 5);
    struct peer *peer = peer_start(child);

    specimen_ready();
    specimen_wait();

    sysv_value(id, 0, 3);
    peer_end(peer);
    sysv_value(id, 0, 5);
    return specimen_pass();
}
