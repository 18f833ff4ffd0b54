/* specimen: general registers of a thread that sleeps in a system call: only rax, rcx and r11 are the kernel's | group: cpu | needs: x86-64 */
#include "cpu.h"

#include <pthread.h>

/* rbx rdx rsi rdi rbp r8 r9 r10 r12 … r15; those that carry arguments of futex(2) are set by main. */
uint64_t wanted[12], found[12];
long sleep_in_futex(void);

__asm__(
    ".text\n sleep_in_futex:\n"
    "push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    ".set i, 0\n .irp r, rbx,rdx,rsi,rdi,rbp,r8,r9,r10,r12,r13,r14,r15\n"
    "mov wanted+8*i(%rip), %\\r\n .set i, i+1\n .endr\n"
    "mov $202, %eax\n" /* SYS_futex */
    "syscall\n"
    ".set i, 0\n .irp r, rbx,rdx,rsi,rdi,rbp,r8,r9,r10,r12,r13,r14,r15\n"
    "mov %\\r, found+8*i(%rip)\n .set i, i+1\n .endr\n"
    "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
    "ret\n");

static int word;
static volatile pid_t tid;

static void *run(void *unused) {
    (void)unused;
    tid = task_self();
    return (void *)sleep_in_futex();
}

int main(void) {
    cpu_fill(wanted, sizeof wanted, 2);
    wanted[1] = 0, wanted[2] = 0, wanted[3] = (uint64_t)&word, wanted[7] = 0; /* FUTEX_WAIT while it is 0, no timeout */
    pthread_t thread;
    specimen_defer();
    specimen_equal(pthread_create(&thread, NULL, run, NULL), 0);
    while (!tid) sched_yield();
    task_await_call(tid, SYS_futex);

    specimen_ready();
    specimen_wait();

    task_await_call(tid, SYS_futex);
    cpu_wake(&word);
    void *result = NULL;
    specimen_equal(pthread_join(thread, &result), 0);
    specimen_equal(result, 0);
    cpu_same("general registers", wanted, found, 12, 8);
    return specimen_pass();
}
