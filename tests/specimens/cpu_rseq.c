/* specimen: restartable sequences: each thread's area is registered, and shows the CPU that it runs on | group: cpu | needs: rseq of glibc 2.35 */
#include "worker.h"

#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>

static struct rseq *area(void) { return (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset); }

static void check(void) {
    /* Registered already, with this size and signature: EBUSY; others would be EINVAL or EPERM (rseq(2)). */
    unsigned size = __rseq_size < 32 ? 32 : __rseq_size;
    specimen_equal(syscall(SYS_rseq, area(), size, 0, RSEQ_SIG), -1);
    specimen_equal(errno, EBUSY);
    cpu_set_t allowed, one;
    specimen_equal(sched_getaffinity(0, sizeof allowed, &allowed), 0);
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed)) continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        specimen_equal(sched_setaffinity(0, sizeof one, &one), 0);
        specimen_equal(*(volatile __u32 *)&area()->cpu_id, cpu);
        specimen_equal(*(volatile __u32 *)&area()->cpu_id_start, cpu);
    }
    specimen_equal(sched_setaffinity(0, sizeof allowed, &allowed), 0);
}

static void run(struct worker *me) {
    check();
    worker_turn(me);
    check();
}

int main(void) {
    if (!__rseq_size) specimen_skip("the libc has not registered an area");
    check();
    struct worker *one = worker_start(run, NULL), *other = worker_start(run, NULL);

    specimen_ready();
    specimen_wait();

    check();
    worker_end(one);
    worker_end(other);
    return specimen_pass();
}
#else
int main(void) { specimen_skip("this libc does not know rseq"); }
#endif
