/* Helpers of the cpu specimens: register files that are loaded, held while the world is frozen, and stored again. */
#ifndef CPU_H
#define CPU_H

#include "task.h"

#include <stdint.h>

#if !defined(__x86_64__)
#error "the cpu specimens with registers know x86-64 only"
#endif

/* In inline assembly: spin until the int at *operand* is not 0; touches nothing but flags. */
#define CPU_SPIN(operand) "1: pause; cmpl $0, " operand "; je 1b;"

/* Recognizable bytes: no two equal words, not the same for two seeds. */
static inline void cpu_fill(void *start, size_t size, unsigned seed) {
    unsigned char *bytes = start;
    for (size_t i = 0; i < size; i++) bytes[i] = (unsigned char)((i + 1) * 0x9d + seed * 0x3b + (i >> 3));
}

/* Fails with the number of the register, of *width* bytes, that is not what was loaded. */
static inline void cpu_same(const char *file, const void *loaded, const void *stored, size_t count, size_t width) {
    for (size_t i = 0; i < count; i++)
        if (memcmp((const char *)loaded + i * width, (const char *)stored + i * width, width) != 0)
            specimen_fail("%s: register %zu has changed", file, i);
}

/* futex(2), FUTEX_WAIT, on a word that is 0, called by hand: the waiter in the assembly of a specimen. */
static inline void cpu_wake(int *word) {
    *(volatile int *)word = 1;
    syscall(SYS_futex, word, 1 /* FUTEX_WAKE */, 1000, NULL, NULL, 0);
}

#endif
