/* specimen: two processes with one table of signal handlers (CLONE_VM and CLONE_SIGHAND) | group: tree | needs: nothing */
#include "task.h"

#include <sys/mman.h>
#include <sys/wait.h>

enum { STACK = 65536 };
static volatile int turn, hits;

static void hit(int number) { (void)number, hits++; }

/* No libc below: the thread-local variables are the parent's. */
static int child(void *unused) {
    (void)unused;
    turn = 1;
    while (turn == 1) syscall(SYS_sched_yield);
    syscall(SYS_exit, 22);
    return 0;
}

int main(void) {
    char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    specimen_check(stack != MAP_FAILED);
    pid_t pid = clone(child, stack + STACK, CLONE_VM | CLONE_SIGHAND | SIGCHLD, NULL);
    specimen_check(pid > 0);
    while (turn != 1) sched_yield();

    specimen_ready();
    specimen_wait();

    /* A handler that one process sets now is the other's as well: without it, SIGUSR1 would end the child. */
    struct sigaction action = {.sa_handler = hit};
    sigaction(SIGUSR1, &action, NULL);
    specimen_equal(kill(pid, SIGUSR1), 0);
    while (!hits) sched_yield();
    turn = 2;
    int status = 0;
    specimen_equal(waitpid(pid, &status, 0), pid);
    specimen_equal(WEXITSTATUS(status), 22);
    return specimen_pass();
}
