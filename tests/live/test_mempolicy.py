"""NUMA policies of threads: twin of mempolicy."""

from __future__ import annotations

import dataclasses
import errno

import pytest

from crtool.abi import mempolicy as abi
from crtool.puppet.batch import Batch
from crtool.resources import mempolicy
from crtool.resources.mempolicy import MempolicyRecord

from .puppets import answer, hold, newborn, program, run, status_of, tasks, thread

SOURCE = """
static volatile int other;
static void set(int mode, unsigned long nodes) {
    MUST(syscall(SYS_set_mempolicy, mode, nodes ? &nodes : NULL, nodes ? 64 : 0));
}
static void *second(void *ignored) { set(2 | 1 << 15, 1); other = 1; for (;;) pause(); }
int main(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, second, NULL);
    while (!other) usleep(1000);
    set(4, 0);
    ready();
    for (;;) pause();
}
"""


def record_of(puppet, tid):
    return answer(puppet, lambda batch: mempolicy.dump(status_of(tid), batch))


@pytest.mark.machine("NUMA policies (CONFIG_NUMA)")
def test_policies_of_two_threads_come_back():
    with program(SOURCE) as target:
        first, second = tasks(target.pid)
        with hold(target.pid) as process:
            records = {tid: record_of(process.on(tid), tid) for tid in (first, second)}
        target.end()

        assert (abi.MPOL_LOCAL, ()) == (records[first].mode, records[first].nodes)
        assert (abi.MPOL_BIND | 1 << 15, (0,)) == (records[second].mode, records[second].nodes)

        with newborn(target.pid) as main:
            born = record_of(main, first)
            puppets = {first: main, second: thread(main, second)}
            for tid, puppet in puppets.items():
                run(puppet, lambda batch, tid=tid: mempolicy.restore(batch, records[tid], born))

            assert records == {tid: record_of(puppet, tid) for tid, puppet in puppets.items()}

            run(puppets[second], lambda batch: mempolicy.restore(batch, born, records[second]))

            assert born == record_of(puppets[second], second)


BORN = MempolicyRecord(abi.MPOL_DEFAULT, (), (0, 1))


def arguments(record):
    batch = Batch()
    mempolicy.restore(batch, record, BORN)
    return [call.args for call in batch]


def test_the_policy_that_is_right_costs_no_calls():
    assert [] == arguments(dataclasses.replace(BORN, allowed=(0, 1, 2, 3)))


def test_nodes_that_are_not_usable_here_are_named_and_left_out():
    bound = MempolicyRecord(abi.MPOL_BIND, (1, 5), (0, 1, 5))
    (warning,) = mempolicy.lost(bound, BORN)

    assert "NUMA nodes 5 " in warning
    assert [(abi.MPOL_BIND, (2).to_bytes(128, "little"), 1025)] == arguments(bound)


def test_a_policy_without_any_usable_node_is_the_default():
    assert [] == arguments(MempolicyRecord(abi.MPOL_BIND, (5,), (5,)))


def test_relative_nodes_are_kept_as_they_are():
    relative = MempolicyRecord(abi.MPOL_BIND | abi.MPOL_F_RELATIVE_NODES, (0, 7), (3,))

    assert () == mempolicy.lost(relative, BORN)
    assert [relative.mode] == [mode for mode, *_ in arguments(relative)]


def test_a_kernel_without_numa_has_the_default_policy():
    batch = Batch()
    record = mempolicy.dump(status_of(1), batch)
    for call in batch:
        call.finish(-errno.ENOSYS)

    assert (abi.MPOL_DEFAULT, ()) == (record().mode, record().nodes)
