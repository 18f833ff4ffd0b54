"""Interval timers, from a program to a blank process."""

from __future__ import annotations

import signal
import struct
import time

import pytest

from crtool.abi.signals import SIGALRM, bit
from crtool.puppet.batch import Batch
from crtool.resources import itimers, sigaction
from crtool.resources.itimers import ItimerRecord

from .puppets import answer, bytes_of, hold, newborn, program, run, status_of

ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF = 0, 1, 2
SECOND = 1_000_000

SOURCE = """
static void set(int which, long value, long interval) {
    struct itimerval setting = {{interval / 1000000, interval %% 1000000}, {value / 1000000, value %% 1000000}};
    MUST(setitimer(which, &setting, NULL));
}
int main(void) {
    sigset_t alarm;
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    %s
    ready();
    for (;;) pause();
}
"""


def dumped(setup: str) -> tuple[int, tuple[ItimerRecord, ...], bool]:
    with program(SOURCE % setup) as target:
        with hold(target.pid) as process:
            records = answer(process, lambda batch: itimers.dump(process, batch))
            pending = bool(status_of(target.pid).shared_pending & bit(SIGALRM))
        return target.pid, records, pending


def ask(puppet):
    return answer(puppet, lambda batch: itimers.dump(puppet, batch))


def test_all_three_come_back():
    pid, records, _ = dumped("set(0, 5500000, 0); set(1, 7000000, 250000); set(2, 9000000, 3000001);")
    real, virtual, prof = records
    assert (ITIMER_REAL, 0) == (real.which, real.interval)
    assert 4 * SECOND < real.value < 5.5 * SECOND
    assert (ITIMER_VIRTUAL, 250_000) == (virtual.which, virtual.interval)
    assert (ITIMER_PROF, 3_000_001) == (prof.which, prof.interval)

    with newborn(pid) as puppet:
        run(puppet, lambda batch: itimers.restore(batch, records, alarm_pending=False))
        again = ask(puppet)

        assert [(record.which, record.interval) for record in records] == [(r.which, r.interval) for r in again]
        gone = [old.value - new.value for old, new in zip(records, again, strict=True)]
        assert all(-10 <= microseconds < 2_000_000 for microseconds in gone), gone


def test_one_that_is_off_has_no_record():
    assert () == dumped("set(0, 5000000, 0); set(0, 0, 0);")[1]


def test_one_that_rests_until_its_signal_is_delivered_goes_on_then():
    pid, records, pending = dumped("sigprocmask(SIG_BLOCK, &alarm, NULL); set(0, 1000, 200000); usleep(20000);")
    assert pending
    assert (ItimerRecord(ITIMER_REAL, 0, 200_000),) == records

    with newborn(pid) as puppet:
        puppet.call("rt_sigqueueinfo", pid, SIGALRM, struct.pack("<iii", SIGALRM, 0, 0).ljust(128, b"\0"))
        run(puppet, lambda batch: itimers.restore(batch, records, alarm_pending=True))

        assert records == ask(puppet)
        info = take_alarm(puppet, 0)
        assert (SIGALRM, 0) == struct.unpack_from("<i4xi", info), "the signal that was pending, not the timer's own"
        (again,) = ask(puppet)
        assert 0 < again.value <= 200_000
        assert take_alarm(puppet, 1), "it goes on"


@pytest.mark.machine("interval timers that rest when ignored")
def test_one_that_was_ignored_when_it_expired_rests_for_ever():
    pid, records, pending = dumped("signal(SIGALRM, SIG_IGN); set(0, 1000, 3000); usleep(20000);")
    assert not records[0].value
    assert not pending

    with newborn(pid) as puppet:
        actions = (sigaction.SigactionRecord(SIGALRM, 0x1234, 0x10000004, 0x5678, 1),)
        run(puppet, lambda batch: sigaction.restore(batch, actions))
        run(puppet, lambda batch: itimers.restore(batch, records, alarm_pending=False))
        time.sleep(0.02)

        assert records == ask(puppet)
        assert not status_of(pid).shared_pending & bit(SIGALRM)
        again = answer(puppet, lambda batch: sigaction.dump(puppet, batch))
        assert actions[0] in again


def take_alarm(puppet, seconds):
    signals = bit(signal.SIGALRM).to_bytes(8, "little")
    return bytes_of(puppet, 128, "rt_sigtimedwait", signals, None, struct.pack("<qq", seconds, 0), 8)


def test_no_timers_cost_no_calls():
    batch = Batch()
    itimers.restore(batch, (), alarm_pending=False)

    assert 0 == len(batch)
