/* specimen: threads in a nested PID namespace, by their numbers there, and a timer that signals one of them | group: ns | needs: root, new namespaces */
#include "ns.h"

#include <pthread.h>
#include <time.h>

static pid_t tids[3];
static volatile int told[3];

static void hit(int number) {
    (void)number;
    for (int i = 0; i < 3; i++)
        if (tids[i] == task_self()) told[i] = 1;
}

static void *sleeper(void *place) {
    *(pid_t *)place = task_self();
    for (;;) pause();
    return NULL;
}

static void first(struct peer *me) {
    struct sigaction action = {.sa_handler = hit};
    sigaction(SIGUSR1, &action, NULL);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        specimen_equal(pthread_create(&threads[i], NULL, sleeper, &tids[i]), 0);
        while (!((volatile pid_t *)tids)[i]) sched_yield();
    }
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
    event._sigev_un._tid = tids[1];
    specimen_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    peer_turn(me);
    specimen_equal(task_self(), 1);
    for (int i = 0; i < 3; i += 2) {
        specimen_equal(syscall(SYS_tgkill, 1, tids[i], SIGUSR1), 0);
        while (!told[i]) sched_yield();
    }
    specimen_equal(told[1], 0);
    struct itimerspec soon = {.it_value.tv_nsec = 1};
    specimen_equal(timer_settime(timer, 0, &soon, NULL), 0);
    while (!told[1]) sched_yield();
}

int main(void) {
    ns_need(CLONE_NEWPID);
    struct peer *peer = ns_start(first, NULL);

    specimen_ready();
    specimen_wait();

    peer_end(peer);
    return specimen_pass();
}
