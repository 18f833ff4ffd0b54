/* specimen: scheduling that children do not inherit (SCHED_RESET_ON_FORK) | group: limits | needs: root */
#include "scheduling.h"

#include <sys/resource.h>
#include <sys/wait.h>

static void run(struct worker *me) {
    static const struct scheduling wanted = {
        .policy = SCHED_BATCH, .nice = -3, .flags = SCHEDULING_FLAG_RESET_ON_FORK};
    specimen_equal(scheduling_set(wanted), 0);
    worker_turn(me);
    scheduling_expect(&wanted);
    specimen_equal(sched_getscheduler(0), SCHED_BATCH | SCHED_RESET_ON_FORK);
    pid_t child = fork();
    if (child == 0) _exit(getpriority(PRIO_PROCESS, 0) == 0 ? 0 : 1);
    int status = -1;
    specimen_equal(waitpid(child, &status, 0), child);
    specimen_equal(status, 0);
}

int main(void) {
    struct worker *worker = worker_start(run, NULL);

    specimen_ready();
    specimen_wait();

    specimen_equal(sched_getscheduler(0), SCHED_OTHER);
    worker_end(worker);
    return specimen_pass();
}
