/* specimen: checkpointed inside a restartable sequence: it is aborted, or goes on, but is never half done | group: cpu | needs: rseq of glibc 2.35 */
#include "cpu.h"

#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>

/* A critical section that does nothing but spin until told. Whoever is preempted or frozen in it must come out by
 * the abort handler (or, told, at its end), with its descriptor taken away from the area: rseq(2). */
static uint64_t aborted, finished;

static void turn(struct rseq *area) {
    __asm__ volatile(
        ".pushsection __rseq_cs, \"aw\"; .balign 32\n"
        "9: .long 0, 0; .quad 1f, 2f - 1f, 4f\n"
        ".popsection\n"
        "lea 9b(%%rip), %%rax; mov %%rax, %[section]\n"
        "1: pause; cmpl $0, %[told]; je 1b\n"
        "2: incq %[finished]; jmp 5f\n"
        ".long %c[signature]\n"
        "4: incq %[aborted]\n"
        "5:\n"
        : [section] "=m"(area->rseq_cs), [finished] "+m"(finished), [aborted] "+m"(aborted)
        : [told] "m"(specimen_told_), [signature] "i"(RSEQ_SIG) : "rax", "memory", "cc");
}

int main(void) {
    if (!__rseq_size) specimen_skip("the libc has not registered an area");
    struct rseq *area = (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);

    specimen_ready();
    specimen_listen();
    uint64_t turns = 0;
    while (!specimen_told()) {
        turn(area);
        turns++;
        specimen_equal(aborted + finished, turns);
    }

    /* Nobody is left inside: the descriptor was taken away with the last abort, or the last turn came to its end. */
    specimen_check(area->rseq_cs == 0 || finished > 0);
    return specimen_pass();
}
#else
int main(void) { specimen_skip("this libc does not know rseq"); }
#endif
