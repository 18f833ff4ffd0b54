"""What a thread has told the kernel in a word or two: twins of pdeath, robust, cleartid, rseq and subreaper."""

from __future__ import annotations

import os
import signal
import struct

from crtool.abi.mman import MAP_ANONYMOUS, MAP_FIXED_NOREPLACE, MAP_PRIVATE, PROT_READ, PROT_WRITE
from crtool.kernel import ptrace
from crtool.kernel.process import get_robust_list
from crtool.puppet.batch import Batch
from crtool.resources import cleartid, pdeath, robust, rseq, subreaper

from .puppets import answer, hold, newborn, program, run, tasks, thread

SOURCE = """
#include <sys/rseq.h>
static volatile int other;
static void *second(void *ignored) {
    MUST(prctl(PR_SET_PDEATHSIG, SIGUSR2));
    other = syscall(SYS_gettid);
    for (;;) pause();
}
int main(void) {
    pthread_t thread;
    MUST(prctl(PR_SET_PDEATHSIG, 64));
    MUST(prctl(PR_SET_CHILD_SUBREAPER, 1));
    pthread_create(&thread, NULL, second, NULL);
    while (!other) usleep(1000);
    printf("%lu\\n", (unsigned long)__builtin_thread_pointer() + __rseq_offset);
    ready();
    for (;;) pause();
}
"""


def dump(process, held):
    puppet = process.on(held.tid)
    return (
        answer(puppet, lambda batch: pdeath.dump(process, held, batch)),
        answer(puppet, lambda batch: cleartid.dump(process, held, batch)),
        robust.dump(held),
        rseq.dump(held),
    )


def restore(puppet, records):
    parent_death, clear, futexes, sequences = records
    room(puppet, sequences.address, sequences.size)
    run(puppet, lambda batch: rseq.restore(batch, sequences))
    run(puppet, lambda batch: robust.restore(batch, futexes))
    run(puppet, lambda batch: cleartid.restore(batch, clear))
    run(puppet, lambda batch: pdeath.restore(batch, parent_death))


def assert_same(puppet, records):
    parent_death, clear, futexes, sequences = records
    assert parent_death == answer(puppet, lambda batch: pdeath.dump(puppet, None, batch))
    assert clear == answer(puppet, lambda batch: cleartid.dump(puppet, None, batch))
    assert (futexes.head, futexes.size) == get_robust_list(puppet.tid)
    assert (sequences.address, sequences.size, sequences.signature) == ptrace.rseq(puppet.tid)
    assert cpu_id(puppet, sequences.address) >= 0


def test_words_of_two_threads_come_back():
    with program(SOURCE) as target:
        first, second = tasks(target.pid)
        with hold(target.pid) as process:
            records = {tid: dump(process, held) for tid, held in process.threads.items()}
            adopts = answer(process, lambda batch: subreaper.dump(process, batch))
        target.end()

        assert adopts
        assert (64, signal.SIGUSR2) == (records[first][0], records[second][0])
        assert records[first][1] != records[second][1] != 0
        assert 24 == records[first][2].size
        assert int(target.said[0]) == records[first][3].address
        assert 0x53053053 == records[first][3].signature

        with newborn(target.pid) as main:
            other = thread(main, second)
            restore(main, records[first])
            restore(other, records[second])
            run(main, lambda batch: subreaper.restore(batch, adopts))

            assert_same(main, records[first])
            assert_same(other, records[second])
            assert answer(main, lambda batch: subreaper.dump(main, batch))


def room(puppet, address, size):
    """The pages that hold the area: it may cross from one to the next, and threads may share them."""
    for page in range(address & ~4095, address + size, 4096):
        flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE
        puppet.call("mmap", page, 4096, PROT_READ | PROT_WRITE, flags, -1, 0, must=False)


def cpu_id(puppet, area):
    return struct.unpack("<i", os.pread(puppet.memory, 4, area + 4))[0]


def test_subreaper_can_be_taken_away():
    with newborn() as puppet:
        run(puppet, lambda batch: subreaper.restore(batch, True))
        run(puppet, lambda batch: subreaper.restore(batch, False))

        assert not answer(puppet, lambda batch: subreaper.dump(puppet, batch))


def test_words_that_are_not_set_cost_no_calls():
    batch = Batch()
    pdeath.restore(batch, 0)
    robust.restore(batch, None)
    cleartid.restore(batch, 0)
    rseq.restore(batch, None)

    assert 0 == len(batch)
