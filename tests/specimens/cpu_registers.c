/* specimen: general registers, stack pointer and red zone of a program that computes | group: cpu | needs: x86-64 */
#include "cpu.h"

/* rax rbx rcx rdx rsi rbp r8 … r15, then 16 words of red zone (the 128 bytes below the stack pointer belong to a
 * leaf function, System V ABI for AMD64, 3.2.2). */
uint64_t wanted[14 + 16], found[14 + 16], stack_pointer, turns;
long hold(volatile int *flag);

__asm__(
    ".text\n hold:\n"
    "push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "mov %rsp, stack_pointer(%rip)\n"
    ".set i, 0\n .irp r, 14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29\n"
    "mov wanted+8*\\r(%rip), %rax; mov %rax, -8*(\\r-13)(%rsp)\n .endr\n"
    ".irp r, rax,rbx,rcx,rdx,rsi,rbp,r8,r9,r10,r11,r12,r13,r14,r15\n"
    "mov wanted+8*i(%rip), %\\r\n .set i, i+1\n .endr\n"
    "1:\n .set i, 0\n .irp r, rax,rbx,rcx,rdx,rsi,rbp,r8,r9,r10,r11,r12,r13,r14,r15\n"
    "cmp wanted+8*i(%rip), %\\r; jne 2f\n .set i, i+1\n .endr\n"
    "cmp stack_pointer(%rip), %rsp; jne 2f\n"
    "incq turns(%rip)\n"
    "cmpl $0, (%rdi); je 1b\n"
    "2:\n .set i, 0\n .irp r, rax,rbx,rcx,rdx,rsi,rbp,r8,r9,r10,r11,r12,r13,r14,r15\n"
    "mov %\\r, found+8*i(%rip)\n .set i, i+1\n .endr\n"
    ".irp r, 14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29\n"
    "mov -8*(\\r-13)(%rsp), %rax; mov %rax, found+8*\\r(%rip)\n .endr\n"
    "mov %rsp, %rax; sub stack_pointer(%rip), %rax; mov stack_pointer(%rip), %rsp\n"
    "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
    "ret\n");

int main(void) {
    cpu_fill(wanted, sizeof wanted, 1);

    specimen_ready();
    specimen_listen();
    long difference = hold(&specimen_told_);

    specimen_equal(difference, 0);
    cpu_same("general registers and red zone", wanted, found, 14 + 16, 8);
    specimen_check(specimen_told() && turns > 0);
    return specimen_pass();
}
