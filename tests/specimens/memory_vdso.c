/* specimen: the vDSO: clock_gettime, gettimeofday, time and getcpu without a system call agree with the kernel | group: memory | needs: nothing */
#include "memory.h"

#include <sched.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

static long long nanoseconds(struct timespec t) { return t.tv_sec * 1000000000ll + t.tv_nsec; }

/* The vDSO's answer lies between two answers of the kernel itself. */
static void compare(clockid_t clock) {
    struct timespec before, between, after;
    specimen_equal(syscall(SYS_clock_gettime, clock, &before), 0);
    specimen_equal(clock_gettime(clock, &between), 0);
    specimen_equal(syscall(SYS_clock_gettime, clock, &after), 0);
    specimen_check(nanoseconds(before) <= nanoseconds(between) && nanoseconds(between) <= nanoseconds(after));
}

static void compare_all(void) {
    static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE,
                                       CLOCK_BOOTTIME, CLOCK_TAI};
    for (size_t i = 0; i < sizeof clocks / sizeof *clocks; i++) compare(clocks[i]);
    struct timeval now;
    specimen_equal(gettimeofday(&now, NULL), 0);
    specimen_check(now.tv_sec > 1000000000 && labs(time(NULL) - now.tv_sec) <= 1);
    cpu_set_t only;
    CPU_ZERO(&only);
    int cpu = sched_getcpu();
    specimen_check(cpu >= 0);
    CPU_SET(cpu, &only);
    cpu_set_t all;
    specimen_equal(sched_getaffinity(0, sizeof all, &all), 0);
    specimen_equal(sched_setaffinity(0, sizeof only, &only), 0);
    specimen_equal(sched_getcpu(), cpu);
    specimen_equal(sched_setaffinity(0, sizeof all, &all), 0);
}

int main(void) {
    compare_all();
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);

    specimen_ready();
    specimen_wait();

    clock_gettime(CLOCK_MONOTONIC, &after);
    specimen_check(nanoseconds(after) > nanoseconds(before));
    compare_all();
    const char *vdso = (const char *)getauxval(AT_SYSINFO_EHDR);
    specimen_equal(memcmp(vdso, "\177ELF", 4), 0);
    specimen_equal(strcmp(memory_area(vdso).path, "[vdso]"), 0);
    return specimen_pass();
}
