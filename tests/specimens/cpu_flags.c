/* specimen: arithmetic flags, direction flag and ID flag of a program that computes | group: cpu | needs: x86-64 */
#include "cpu.h"

/* CF PF AF ZF SF DF OF ID; the others are the kernel's or make everything else trap. */
enum { FLAGS = 0x200cd5 };

/* Sets the flags, burns time with instructions that do not touch them, and reads them back, until told. */
static uint64_t hold(uint64_t flags) {
    uint64_t found;
    __asm__ volatile(
        "lea -128(%%rsp), %%rsp\n" /* push must not hit the red zone */
        "1: push %[flags]; popfq; mov $1000000, %%ecx\n"
        "2: lea -1(%%rcx), %%rcx; jrcxz 3f; jmp 2b\n"
        "3: pushfq; pop %[found]; cld\n"
        "cmp %[found], %[flags]; jne 4f\n"
        "cmpl $0, %[told]; je 1b\n"
        "4: lea 128(%%rsp), %%rsp\n"
        : [found] "=&r"(found) : [flags] "r"(flags), [told] "m"(specimen_told_) : "rcx", "cc", "memory");
    return found;
}

int main(void) {
    uint64_t usual;
    __asm__ volatile("lea -128(%%rsp), %%rsp; pushfq; pop %0; lea 128(%%rsp), %%rsp" : "=r"(usual));

    specimen_ready();
    specimen_listen();
    uint64_t flags = (usual & ~(uint64_t)FLAGS) | FLAGS;
    specimen_equal(hold(flags), flags);
    specimen_check(specimen_told());

    return specimen_pass();
}
