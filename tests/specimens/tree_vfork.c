/* specimen: vfork in progress: the parent waits until the child ends, in memory that they share | group: tree | needs: vfork */
#include "peer.h"
#include "task.h"

struct shared {
    sem_t in_child, end;
    pid_t child;
    volatile int returned;
};

static void parent(struct peer *me) {
    struct shared *shared = me->data;
    volatile int stack = 1;
    pid_t pid = vfork();
    if (pid == 0) {
        shared->child = getpid();
        sem_post(&shared->in_child);
        while (sem_wait(&shared->end) != 0) {}
        stack = 2; /* seen by the parent: it is its memory */
        _exit(7);
    }
    shared->returned = 1;
    specimen_equal(pid, shared->child);
    specimen_equal(stack, 2);
    int status = 0;
    specimen_equal(waitpid(pid, &status, 0), pid);
    specimen_equal(WEXITSTATUS(status), 7);
    peer_turn(me);
}

int main(void) {
    struct shared *shared = peer_shared(sizeof *shared);
    specimen_check(sem_init(&shared->in_child, 1, 0) == 0 && sem_init(&shared->end, 1, 0) == 0);
    struct peer *peer = peer_shared(sizeof *peer);
    specimen_check(sem_init(&peer->go, 1, 0) == 0 && sem_init(&peer->done, 1, 0) == 0);
    peer->data = shared;
    pid_t pid = fork();
    if (pid == 0) {
        parent(peer);
        _exit(0);
    }
    peer->pid = pid;
    peer_await(&shared->in_child);

    specimen_ready();
    specimen_wait();

    specimen_equal(shared->returned, 0);
    specimen_equal(task_status_number(shared->child, "PPid"), peer->pid);
    sem_post(&shared->end);
    peer_wait(peer);
    specimen_equal(shared->returned, 1);
    peer_end(peer);
    return specimen_pass();
}
