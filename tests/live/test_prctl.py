"""Names, timer slack, switches of threads and address spaces: twin of prctl."""

from __future__ import annotations

import dataclasses

import pytest

from crtool.abi import prctl as pr
from crtool.errors import EnvironmentDiffers
from crtool.puppet.batch import Batch
from crtool.resources import prctl
from crtool.resources.prctl import AddressSpaceFlagsRecord, ThreadFlagsRecord

from .puppets import answer, hold, newborn, program, run, status_of, tasks, thread

SOURCE = """
static volatile int other;
static void *second(void *ignored) {
    MUST(prctl(PR_SET_NAME, "a b)\\n\\\\c", 0, 0, 0));
    MUST(prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0));
    MUST(prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0));
    MUST(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0));
    other = 1;
    for (;;) pause();
}
int main(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, second, NULL);
    while (!other) usleep(1000);
    MUST(prctl(PR_SET_TIMERSLACK, 123456, 0, 0, 0));
    MUST(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_LATE, 0, 0));
    MUST(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
    ready();
    for (;;) pause();
}
"""


def record_of(puppet, tid):
    return answer(puppet, lambda batch: prctl.dump_thread(tid, status_of(tid), batch))


def test_flags_of_two_threads_come_back():
    with program(SOURCE) as target:
        first, second = tasks(target.pid)
        with hold(target.pid) as process:
            records = {tid: record_of(process.on(tid), tid) for tid in (first, second)}
            flags = answer(process, prctl.dump_process)
        target.end()

        assert ThreadFlagsRecord(b"program", 123456, 1, 0, False, *own_speculation()) == records[first]
        assert ThreadFlagsRecord(b"a b)\n\\c", 1, 2, 1, False, *own_speculation()) == records[second]
        assert AddressSpaceFlagsRecord(1, 0, False) == flags

        with newborn(target.pid) as main:
            born, blank = record_of(main, first), answer(main, prctl.dump_process)
            puppets = {first: main, second: thread(main, second)}
            for tid, puppet in puppets.items():
                run(puppet, lambda batch, tid=tid: prctl.restore_thread(batch, records[tid], born))
            run(main, lambda batch: prctl.restore_process(batch, flags, blank))

            assert records == {tid: record_of(puppet, tid) for tid, puppet in puppets.items()}
            assert flags == answer(main, prctl.dump_process)
            assert not status_of(first).thp_enabled


def own_speculation():
    """What a thread has that chooses nothing, which is up to the machine."""
    with newborn() as puppet:
        record = record_of(puppet, puppet.pid)
    return record.store_bypass, record.indirect_branch


def test_switches_go_back_to_their_defaults():
    with newborn() as puppet:
        born, blank = record_of(puppet, puppet.pid), answer(puppet, prctl.dump_process)
        other = dataclasses.replace(born, name=b"x", timer_slack=5, tsc=2, mce_kill=1)
        run(puppet, lambda batch: prctl.restore_thread(batch, other, born))

        assert other == record_of(puppet, puppet.pid)

        run(puppet, lambda batch: prctl.restore_thread(batch, born, other))

        assert born == record_of(puppet, puppet.pid)

        changed = dataclasses.replace(blank, thp_disable=1)
        run(puppet, lambda batch: prctl.restore_process(batch, changed, blank))
        run(puppet, lambda batch: prctl.restore_process(batch, blank, changed))

        assert blank == answer(puppet, prctl.dump_process)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(change, id=str(change), marks=pytest.mark.machine(need))
        for change, need in [
            ({"mdwe": 1}, "PR_SET_MDWE (Linux 6.3)"),
            ({"mdwe": 3}, "PR_MDWE_NO_INHERIT (Linux 6.6)"),
            ({"memory_merge": True}, "PR_SET_MEMORY_MERGE (Linux 6.4)"),
            ({"thp_disable": 3}, "PR_THP_DISABLE_EXCEPT_ADVISED (Linux 6.18)"),
        ]
    ],
)
def test_newer_switches_of_an_address_space_come_back_where_there_are_any(change):
    with newborn() as puppet:
        blank = answer(puppet, prctl.dump_process)
        record = dataclasses.replace(blank, **change)
        run(puppet, lambda batch: prctl.restore_process(batch, record, blank))

        assert record == answer(puppet, prctl.dump_process)


def test_the_timer_slack_is_that_of_the_thread():
    with newborn() as puppet:
        run(puppet, lambda batch: batch.call("prctl", pr.PR_SET_TIMERSLACK, 777, 0, 0, 0))

        assert 777 == record_of(puppet, puppet.pid).timer_slack


def flags(**changes):
    fixed = ThreadFlagsRecord(b"x", 50000, 1, 2, False, 0, 0)
    return dataclasses.replace(fixed, **changes)


def labels(record, born):
    batch = Batch()
    prctl.restore_thread(batch, record, born)
    return [call.label for call in batch]


def test_what_is_right_costs_no_calls():
    assert [] == labels(flags(), flags())


def test_speculation_is_set_where_it_can_be_and_named_where_not():
    on, off, forced = pr.PR_SPEC_ENABLE, pr.PR_SPEC_DISABLE, pr.PR_SPEC_FORCE_DISABLE

    assert ["speculation"] == labels(flags(store_bypass=off), flags(store_bypass=on))
    assert ["speculation"] == labels(flags(indirect_branch=forced), flags(indirect_branch=on))
    assert [] == labels(flags(indirect_branch=off), flags())
    assert [] == labels(flags(store_bypass=on), flags(store_bypass=forced))
    assert () == prctl.lost_of_thread(flags(store_bypass=off), flags(store_bypass=on))
    assert 2 == len(prctl.lost_of_thread(flags(store_bypass=on, indirect_branch=off), flags(store_bypass=forced)))


def test_a_ban_that_crtool_is_under_itself_is_named():
    with pytest.raises(EnvironmentDiffers, match="PR_SET_MDWE"):
        prctl.restore_process(Batch(), AddressSpaceFlagsRecord(0, 0, False), AddressSpaceFlagsRecord(0, 1, False))
