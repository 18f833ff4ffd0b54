/* specimen: machine code written at run time, in pages rwx, r-x and --x, called afterwards | group: memory | needs: nothing */
#include "memory.h"

/* A function that returns *value*. */
static void assemble(void *at, int value) {
#if defined(__x86_64__)
    unsigned char code[] = {0xb8, value, 0, 0, 0, 0xc3}; /* mov $value, %eax; ret */
#elif defined(__aarch64__)
    uint32_t code[] = {0x52800000u | (uint32_t)value << 5, 0xd65f03c0u}; /* mov w0, #value; ret */
#endif
    memcpy(at, code, sizeof code);
    __builtin___clear_cache(at, (char *)at + sizeof code);
}

static int call(void *at) { return ((int (*)(void))(uintptr_t)at)(); }

int main(void) {
    char *pages = memory_anonymous(3 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
    for (int i = 0; i < 3; i++) assemble(pages + i * PAGE, 41 + i);
    specimen_equal(mprotect(pages + PAGE, PAGE, PROT_READ | PROT_EXEC), 0);
    specimen_equal(mprotect(pages + 2 * PAGE, PAGE, PROT_EXEC), 0);

    specimen_ready();
    specimen_wait();

    static const char *const protections[] = {"rwxp", "r-xp", "--xp"};
    for (int i = 0; i < 3; i++) {
        specimen_equal(call(pages + i * PAGE), 41 + i);
        specimen_equal(strcmp(memory_area(pages + i * PAGE).protection, protections[i]), 0);
    }
    assemble(pages, 99);
    specimen_equal(call(pages), 99);
    specimen_equal(memory_probe(pages + PAGE, 1), SIGSEGV);
    return specimen_pass();
}
