/* specimen: x87: control word (rounding, precision), status with a masked exception, a half-full stack | group: cpu | needs: x86-64 */
#include "cpu.h"

/* FNSAVE, 64-bit form: control, status and tag words in bytes 0 to 11, pointers to the last instruction, which
 * the processor need not keep, in 12 to 27, then the eight registers. */
enum { SIZE = 108, POINTERS = 12, REGISTERS = 28 };
static unsigned char before[SIZE], after[SIZE];
static double zero;

int main(void) {
    uint16_t control = 0x0a7f; /* all exceptions masked, 53 bits, round up */
    __asm__ volatile("fninit; fldcw %1; fldpi; fldl2e; fldlg2; fldln2; fld1; fdivl %2; fnsave %0"
                     : "=m"(before) : "m"(control), "m"(zero));
    specimen_equal(before[4] & 4, 4); /* ZE: there was a division by zero */

    specimen_ready();
    specimen_listen();
    __asm__ volatile("frstor %1;" CPU_SPIN("%2") "fnsave %0"
                     : "=m"(after) : "m"(before), "m"(specimen_told_)
                     : "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)");

    specimen_equal(memcmp(before, after, POINTERS), 0);
    cpu_same("x87 stack", before + REGISTERS, after + REGISTERS, 8, 10);
    uint16_t found;
    __asm__ volatile("frstor %1; fnstcw %0; fninit" : "=m"(found) : "m"(after));
    specimen_equal(found, control);
    return specimen_pass();
}
