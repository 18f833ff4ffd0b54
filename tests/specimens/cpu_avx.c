/* specimen: AVX: sixteen YMM registers, all 256 bits | group: cpu | needs: AVX */
#include "cpu.h"

#define EACH(op) op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11) op(12) op(13) op(14) op(15)
#define LOAD(n) "vmovups 32*" #n "(%[loaded]), %%ymm" #n ";"
#define STORE(n) "vmovups %%ymm" #n ", 32*" #n "(%[stored]);"

int main(void) {
    static unsigned char loaded[16 * 32], stored[16 * 32];
    if (!__builtin_cpu_supports("avx")) specimen_skip("this CPU has no AVX");
    cpu_fill(loaded, sizeof loaded, 4);

    specimen_ready();
    specimen_listen();
    __asm__ volatile(EACH(LOAD) CPU_SPIN("%[told]") EACH(STORE) "vzeroupper"
                     : : [loaded] "r"(loaded), [stored] "r"(stored), [told] "m"(specimen_told_)
                     : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
                       "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");

    cpu_same("YMM", loaded, stored, 16, 32);
    return specimen_pass();
}
