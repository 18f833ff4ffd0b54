/* specimen: a zombie whose SIGCHLD was handled before: no second one comes | group: signals | needs: nothing */
#include "signals.h"

static volatile sig_atomic_t hits;
static void hit(int number) { (void)number, hits++; }

int main(void) {
    struct sigaction action = {.sa_handler = hit};
    sigaction(SIGCHLD, &action, NULL);
    pid_t child = fork();
    if (child == 0) _exit(1);
    while (!hits) sched_yield();
    task_await_state(child, "Z");

    specimen_ready();
    specimen_wait();

    specimen_equal(hits, 1);
    specimen_equal(waitpid(child, NULL, WNOHANG), child);
    child = fork();
    if (child == 0) _exit(1);
    while (hits != 2) sched_yield();
    specimen_equal(waitpid(child, NULL, 0), child);
    return specimen_pass();
}
