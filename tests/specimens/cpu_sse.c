/* specimen: SSE: sixteen XMM registers, MXCSR with another rounding, flush-to-zero and an exception flag | group: cpu | needs: x86-64 */
#include "cpu.h"

#define EACH(op) op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11) op(12) op(13) op(14) op(15)
#define LOAD(n) "movups 16*" #n "(%[loaded]), %%xmm" #n ";"
#define STORE(n) "movups %%xmm" #n ", 16*" #n "(%[stored]);"

int main(void) {
    static unsigned char loaded[16 * 16], stored[16 * 16];
    cpu_fill(loaded, sizeof loaded, 3);
    uint32_t usual, control = 0xff90 /* FTZ, round to zero, all masked, UE set */, found = 0;
    __asm__ volatile("stmxcsr %0" : "=m"(usual));

    specimen_ready();
    specimen_listen();
    __asm__ volatile("ldmxcsr %[control];" EACH(LOAD) CPU_SPIN("%[told]") EACH(STORE) "stmxcsr %[found]; ldmxcsr %[usual]"
                     : [found] "=m"(found)
                     : [loaded] "r"(loaded), [stored] "r"(stored), [control] "m"(control), [usual] "m"(usual),
                       [told] "m"(specimen_told_)
                     : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
                       "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");

    cpu_same("XMM", loaded, stored, 16, 16);
    specimen_equal(found, control);
    return specimen_pass();
}
