/* specimen: the main thread has ended, two others go on | group: tree | needs: nothing */
#include "worker.h"

#include <sys/wait.h>

static void run(struct worker *me) {
    worker_turn(me);
    specimen_equal(task_self(), me->tid);
}

/* The last thread is the specimen: it waits for SIGTERM, checks, and ends the process. */
static void *survive(void *argument) {
    pid_t self = task_self();
    struct worker *worker = worker_start(run, NULL);
    task_await_state(getpid(), "Z");

    specimen_ready();
    specimen_wait();

    specimen_equal(task_self(), self);
    specimen_check(self != getpid());
    task_await_state(getpid(), "Z"); /* it may have to end once more, which takes a moment */
    specimen_equal(task_status_number(self, "Tgid"), getpid());
    worker_end(worker);
    pid_t child = fork();
    if (child == 0) _exit(getppid() == *(pid_t *)argument ? 0 : 1);
    int status = -1;
    specimen_equal(waitpid(child, &status, 0), child);
    specimen_equal(status, 0);
    exit(specimen_pass());
}

int main(void) {
    static pid_t pid;
    pid = getpid();
    pthread_t thread;
    specimen_equal(pthread_create(&thread, NULL, survive, &pid), 0);
    pthread_exit(NULL);
}
