"""Taking a thread out of a critical section of rseq, without which the section would go on on another CPU."""

from __future__ import annotations

import struct

from crtool.kernel import ptrace
from crtool.kernel.process import read_memory
from crtool.procfs import maps
from crtool.procfs.read import read
from crtool.puppet.critical import abort_critical_section, leave_critical_section
from crtool.puppet.thread import HeldThread, seize

from .puppets import held, program, tasks

# A thread that spends its life in a critical section: it enters, counts for ever, and is thrown out to the
# handler whenever the kernel has preempted it; the handler counts too, and enters again.
SOURCE = """
#include <sys/rseq.h>
struct section { uint32_t version, flags; uint64_t start, length, abort; } __attribute__((aligned(32)));
static volatile long rounds, aborts;
static void *work(void *area) {
    uint64_t *active = (uint64_t *)((char *)area + 8);
    __asm__ volatile(
        ".pushsection __rseq_cs, \\"aw\\"\\n .balign 32\\n 8: .long 0, 0\\n .quad 1f, 2f - 1f, 4f\\n .popsection\\n"
        "7: leaq 8b(%%rip), %%rax\\n"
        "movq %%rax, (%0)\\n"
        "1: incq (%1)\\n"
        "jmp 1b\\n"
        "2: ud2\\n"
        ".byte 0x0f, 0xb9, 0x3d\\n .long 0x53053053\\n"
        "4: incq (%2)\\n"
        "jmp 7b\\n"
        : : "r"(active), "r"(&rounds), "r"(&aborts) : "rax", "memory", "cc");
}
static void *begin(void *ignored) { return work((char *)__builtin_thread_pointer() + __rseq_offset); }
int main(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, begin, NULL);
    printf("%lu %lu\\n", (unsigned long)&rounds, (unsigned long)&aborts);
    while (rounds < 1000) usleep(1000);
    ready();
    for (;;) pause();
}
"""


def section(start: int, length: int, abort: int) -> bytes:
    return struct.pack("<IIQQQ", 0, 0, start, length, abort)


def test_where_a_thread_goes_on():
    active = section(1000, 20, 5000)

    assert 5000 == abort_critical_section(1000, active)
    assert 5000 == abort_critical_section(1019, active)
    assert 1020 == abort_critical_section(1020, active)
    assert 999 == abort_critical_section(999, active)


def word(pid: int, address: int) -> int:
    return int.from_bytes(read_memory(pid, address, 8), "little")


def test_a_thread_in_a_section_is_led_away_and_goes_on_at_the_handler():
    with program(SOURCE) as target:
        rounds, aborts = map(int, target.said)
        tids = tasks(target.pid)
        for tid in tids:
            seize(tid)
        threads = [HeldThread.settle(tid, None) for tid in tids]
        worker = threads[1]
        area = worker.rseq[0]
        before = word(target.pid, aborts)

        # It is always in its section; settling has sent it out.
        assert 0 == word(target.pid, area + 8)
        assert not leave_critical_section(worker.tid, area, worker.registers)
        assert worker.registers.ip == ptrace.registers(worker.tid).ip
        with_calls(target.pid, threads, worker.tid)
        # Only the handler counts, and all that the handler does is to enter again.
        while word(target.pid, rounds) == 0 or word(target.pid, aborts) == before:
            pass
        assert word(target.pid, aborts) > before


def with_calls(pid: int, threads: list[HeldThread], tid: int) -> None:
    process = held(pid, threads)
    process.prepare(maps.parse(read(pid, "maps")))
    assert tid == process.on(tid).call("gettid").value
    process.retire()
    process.let_go()


def test_a_thread_outside_is_left_alone():
    with program("int main(void) { ready(); for (;;) pause(); }") as target:
        seize(target.pid)
        held = HeldThread.settle(target.pid, None)
        ip = held.registers.ip

        assert held.rseq[0]
        assert not leave_critical_section(target.pid, held.rseq[0], held.registers)
        assert not leave_critical_section(target.pid, 0, held.registers)
        assert not leave_critical_section(target.pid, 8, held.registers)
        assert ip == held.registers.ip
        ptrace.detach(target.pid)
