/* specimen: floating-point state of four threads that sleep in system calls, each its own | group: cpu | needs: x86-64 */
#include "cpu.h"

#include <pthread.h>

enum { COUNT = 4 };
#define EACH(op) op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11) op(12) op(13) op(14) op(15)
#define LOAD(n) "movups 16*" #n "(%[loaded]), %%xmm" #n ";"
#define STORE(n) "movups %%xmm" #n ", 16*" #n "(%[stored]);"

static int word;
static volatile pid_t tids[COUNT];
static const uint32_t controls[COUNT] = {0x1f80, 0x3f80, 0x5f80, 0x7f80}; /* the four roundings of MXCSR */

static void *run(void *argument) {
    long number = (long)argument, result;
    unsigned char loaded[16 * 16], stored[16 * 16];
    long long integer = 0;
    double half = number % 2 ? -2.5 : 2.5;
    uint16_t control = (uint16_t)(0x037f | number << 10), usual = 0x037f; /* and those of the x87 */
    uint32_t found = 0, usual_sse = 0x1f80;
    register long zero __asm__("r10") = 0;
    cpu_fill(loaded, sizeof loaded, 10 + (unsigned)number);
    tids[number] = task_self();
    __asm__ volatile("fldcw %[control]; fldl %[half]; ldmxcsr %[control_sse];" EACH(LOAD)
                     "syscall;"
                     EACH(STORE) "stmxcsr %[found]; ldmxcsr %[usual_sse]; fistpll %[integer]; fldcw %[usual]"
                     : "=a"(result), [found] "=m"(found), [integer] "=m"(integer)
                     : "a"(202L /* SYS_futex */), "D"(&word), "S"(0L /* FUTEX_WAIT */), "d"(0L), "r"(zero),
                       [control] "m"(control), [half] "m"(half), [control_sse] "m"(controls[number]), [usual] "m"(usual),
                       [usual_sse] "m"(usual_sse), [loaded] "r"(loaded), [stored] "r"(stored)
                     : "memory", "rcx", "r11", "st", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                       "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    specimen_equal(result, 0);
    cpu_same("XMM of a thread", loaded, stored, 16, 16);
    specimen_equal(found, controls[number]);
    /* 2.5 to the nearest even, -2.5 down, 2.5 up, -2.5 to zero */
    static const int rounded[COUNT] = {2, -3, 3, -2};
    specimen_equal(integer, rounded[number]);
    return NULL;
}

int main(void) {
    pthread_t threads[COUNT];
    specimen_defer();
    for (long i = 0; i < COUNT; i++) {
        specimen_equal(pthread_create(&threads[i], NULL, run, (void *)i), 0);
        while (!tids[i]) sched_yield();
        task_await_call(tids[i], SYS_futex);
    }

    specimen_ready();
    specimen_wait();

    for (long i = 0; i < COUNT; i++) task_await_call(tids[i], SYS_futex);
    cpu_wake(&word);
    for (long i = 0; i < COUNT; i++) specimen_equal(pthread_join(threads[i], NULL), 0);
    return specimen_pass();
}
