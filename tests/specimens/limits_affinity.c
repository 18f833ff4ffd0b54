/* specimen: CPUs that each thread may run on | group: limits | needs: two CPUs */
#include "worker.h"

static void expect(const cpu_set_t *wanted) {
    cpu_set_t found;
    specimen_equal(sched_getaffinity(0, sizeof found, &found), 0);
    specimen_equal(CPU_EQUAL(&found, wanted), 1);
    specimen_equal(CPU_ISSET(sched_getcpu(), wanted), 1);
}

static void run(struct worker *me) {
    specimen_equal(sched_setaffinity(0, sizeof(cpu_set_t), me->data), 0);
    worker_turn(me);
    expect(me->data);
}

int main(void) {
    cpu_set_t all, one[2];
    specimen_equal(sched_getaffinity(0, sizeof all, &all), 0);
    int count = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE && count < 2; cpu++) {
        if (!CPU_ISSET(cpu, &all)) continue;
        CPU_ZERO(&one[count]);
        CPU_SET(cpu, &one[count++]);
    }
    if (count < 2) specimen_skip("there is only one CPU to run on");
    struct worker *workers[] = {worker_start(run, &one[0]), worker_start(run, &one[1]), worker_start(run, &all)};
    specimen_equal(sched_setaffinity(0, sizeof(cpu_set_t), &one[1]), 0);

    specimen_ready();
    specimen_wait();

    expect(&one[1]);
    for (int i = 0; i < 3; i++) worker_end(workers[i]);
    return specimen_pass();
}
