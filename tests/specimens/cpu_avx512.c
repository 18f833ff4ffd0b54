/* specimen: AVX-512: thirty-two ZMM registers and the mask registers k0 to k7 | group: cpu | needs: AVX-512 */
#include "cpu.h"

#define EACH8(op, a) op(a##0) op(a##1) op(a##2) op(a##3) op(a##4) op(a##5) op(a##6) op(a##7)
#define EACH(op) EACH8(op, ) op(8) op(9) EACH8(op, 1) op(18) op(19) EACH8(op, 2) op(28) op(29) op(30) op(31)
#define LOAD(n) "vmovups 64*" #n "(%[loaded]), %%zmm" #n ";"
#define STORE(n) "vmovups %%zmm" #n ", 64*" #n "(%[stored]);"
#define LOAD_MASK(n) "kmovw 2*" #n "(%[masks]), %%k" #n ";"
#define STORE_MASK(n) "kmovw %%k" #n ", 2*" #n "(%[stored_masks]);"

static unsigned char loaded[32 * 64], stored[32 * 64];
static uint16_t masks[8], stored_masks[8];

__attribute__((target("avx512f"))) static void hold(void) {
    __asm__ volatile(EACH(LOAD) EACH8(LOAD_MASK, ) CPU_SPIN("%[told]") EACH(STORE) EACH8(STORE_MASK, ) "vzeroupper"
                     : : [loaded] "r"(loaded), [stored] "r"(stored), [masks] "r"(masks),
                         [stored_masks] "r"(stored_masks), [told] "m"(specimen_told_)
                     : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
                       "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21",
                       "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31",
                       "k1", "k2", "k3", "k4", "k5", "k6", "k7");
}

int main(void) {
    if (!__builtin_cpu_supports("avx512f")) specimen_skip("this CPU has no AVX-512");
    cpu_fill(loaded, sizeof loaded, 5);
    cpu_fill(masks, sizeof masks, 6);

    specimen_ready();
    specimen_listen();
    hold();

    cpu_same("ZMM", loaded, stored, 32, 64);
    cpu_same("mask", masks, stored_masks, 8, 2);
    return specimen_pass();
}
