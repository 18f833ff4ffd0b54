/* specimen: two processes with one memory (CLONE_VM without CLONE_THREAD), as posix_spawn(3) has them | group: tree | needs: nothing */
#include "task.h"

#include <sys/mman.h>
#include <sys/wait.h>

enum { STACK = 65536 };
static volatile int turn, seen;
static pid_t child_pid;

/* No libc below: the thread-local variables are the parent's. */
static int child(void *unused) {
    (void)unused;
    turn = 1;
    while (turn == 1) syscall(SYS_sched_yield);
    seen = turn;
    syscall(SYS_exit, 21);
    return 0;
}

int main(void) {
    char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    specimen_check(stack != MAP_FAILED);
    child_pid = clone(child, stack + STACK, CLONE_VM | SIGCHLD, NULL);
    specimen_check(child_pid > 0);
    while (turn != 1) sched_yield();

    specimen_ready();
    specimen_wait();

    specimen_equal(task_status_number(child_pid, "Tgid"), child_pid);
    specimen_equal(waitpid(child_pid, NULL, WNOHANG), 0);
    turn = 77;
    int status = 0;
    specimen_equal(waitpid(child_pid, &status, 0), child_pid);
    specimen_equal(WEXITSTATUS(status), 21);
    specimen_equal(seen, 77);
    return specimen_pass();
}
