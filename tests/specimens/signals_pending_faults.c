/* specimen: signals as of a fault (SIGSEGV, SIGFPE), and SIGTRAP, blocked and pending for threads | group: signals | needs: nothing */
#include "signals.h"

static const struct fault {
    int signal, code;
    uint64_t address;
} faults[] = {{SIGSEGV, SEGV_ACCERR, 0x1234000}, {SIGFPE, FPE_INTDIV, 0x5678}, {SIGTRAP, TRAP_BRKPT, 0x9abc}};
enum { COUNT = sizeof faults / sizeof *faults };

static uint64_t all(void) { return signals_bit(SIGSEGV) | signals_bit(SIGFPE) | signals_bit(SIGTRAP); }

static void send(void) {
    for (int i = 0; i < COUNT; i++) {
        siginfo_t info;
        memset(&info, 0, sizeof info);
        info.si_signo = faults[i].signal, info.si_code = faults[i].code, info.si_addr = (void *)faults[i].address;
        /* To itself a thread may send any code: the kernel does it when a freeze comes between fault and handler. */
        specimen_equal(syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), faults[i].signal, &info), 0);
    }
    specimen_equal(task_status_hex(gettid(), "SigPnd"), all());
}

static void expect(void) {
    specimen_equal(task_status_hex(gettid(), "SigPnd"), all());
    specimen_equal(task_status_hex(gettid(), "ShdPnd"), 0);
    for (int i = 0; i < COUNT; i++) {
        siginfo_t info;
        specimen_equal(signals_take(signals_bit(faults[i].signal), &info), faults[i].signal);
        specimen_equal(info.si_code, faults[i].code);
        specimen_equal(info.si_addr, faults[i].address);
    }
    signals_none(~(uint64_t)0);
}

static void run(struct worker *me) {
    send();
    worker_turn(me);
    expect();
}

int main(void) {
    signals_set_mask(all());
    struct worker *worker = worker_start(run, NULL);
    send();

    specimen_ready();
    specimen_wait();

    specimen_equal(signals_mask() & all(), all());
    expect();
    worker_end(worker);
    return specimen_pass();
}
