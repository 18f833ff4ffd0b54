"""Giving POSIX timers the overruns that they had.

Overruns cannot be set; the kernel counts them when it delivers a timer's signal. But a periodic timer that is started
in the past expires at once, and when its signal is taken, all periods since then are counted as missed: with period P,
time left R and N overruns it is started at now + R − (N + 1)·P. Its signal is taken, which gives exactly N, and the
next expiration is at now + R.

The count is right if the signal is taken at any moment of one period, from now + R − P to now + R. Where that is soon
over, "now" is moved by at most a millisecond or half a period. What the kernel has counted is asked for, and all is
done again if it is wrong: because this took longer than expected, or because a signal of another timer was taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from crtool.abi.signals import SIGINFO_SIZE, SIGINFO_TIMER_ID, bit
from crtool.abi.time import CLOCK_MONOTONIC, ITIMERSPEC, NSEC_PER_SEC, TIMER_ABSTIME, TIMESPEC
from crtool.puppet.batch import Batch, Buffer, Call
from crtool.puppet.puppet import Puppet
from crtool.record import dataclass

__all__ = ["LATEST", "Wanted", "clocks", "first_expiry", "restore"]

_LEAD = 300_000  # ns from reading the clock to taking the signal, as expected at first
_MARGIN = 1_000_000  # ns by which that may be wrong, where the period is long enough
LATEST = 10_000_000  # ns in which a timer with less time left than that expires for the next time, at the latest
_GIVE_UP = 20_000_000  # ns that are waited for a signal
_ATTEMPTS = 8
_SIGSET_SIZE = 8
_OFF = bytes(ITIMERSPEC.size)
_NO_TIMER = -1  # stands for a clock that belongs to no timer


@dataclass(frozen=True)
class Wanted:
    """A periodic timer, and what timer_getoverrun(2) is to say of it; times in nanoseconds."""

    id: int
    clock: int
    signal: int
    period: int
    left: int  # at least 1, at most the period
    overrun: int  # at least 1


def first_expiry(wanted: Wanted, now: int, lead: int) -> int:
    """The absolute time, in the past, to start a timer at; not positive if the clock has not run for so long.

    *lead*: ns from *now* to the moment at which the signal will be taken, as far as that can be known.
    """
    period, left = wanted.period, wanted.left
    taken, margin = now + lead, min(period // 2, _MARGIN)
    base = min(max(now, taken + margin - left), taken - margin + period - left)
    return base + left - (wanted.overrun + 1) * period


def clocks(owners: Mapping[int, Puppet], numbers: Mapping[int, int]) -> dict[int, int]:
    """What the clocks *numbers* (by timer ID) of the *owners* say, in ns."""
    found: dict[int, int] = {}
    for owner in set(owners.values()):
        batch = Batch()
        buffers = {}
        for timer, clock in numbers.items():
            if owners[timer] is owner:
                buffers[timer] = batch.buffer(TIMESPEC.size)
                batch.call("clock_gettime", clock, buffers[timer], label=f"clock of timer {timer}")
        owner.run(batch)
        for timer, buffer in buffers.items():
            found[timer] = _ns(buffer)
    return found


def _ns(timespec: Buffer) -> int:
    seconds, ns = TIMESPEC.unpack(timespec.read())
    return int(seconds * NSEC_PER_SEC + ns)


def restore(owners: Mapping[int, Puppet], timers: Sequence[Wanted]) -> frozenset[int]:
    """Starts *timers*, which are off, with their overruns; returns the IDs of those where it could be done.

    *owners*, by timer ID: the thread that is signalled, since only it can take a signal that is sent to it alone. All
    signals must be blocked, and none of the timers' signals pending. The other timers are off again.
    """
    # Those that expire next come last: else one could expire while the signal of another is waited for.
    ordered = sorted(timers, key=lambda timer: -timer.left)
    reached: frozenset[int] = frozenset()
    lead = _LEAD
    for _ in range(_ATTEMPTS if ordered else 0):
        asked = {timer.id: owners[timer.id] for timer in ordered}
        witness = {_NO_TIMER: owners[ordered[0].id]}
        now = clocks(asked | witness, {timer.id: timer.clock for timer in ordered} | {_NO_TIMER: CLOCK_MONOTONIC})
        start = {timer.id: first_expiry(timer, now[timer.id], lead) for timer in ordered}
        ordered = [timer for timer in ordered if start[timer.id] > 0]
        attempts = [
            _Attempt(owner, [timer for timer in ordered if owners[timer.id] is owner])
            for owner in dict.fromkeys(asked.values())
        ]
        moments = [attempt.run(start) for attempt in attempts]
        reached = frozenset(identity for attempt in attempts for identity in attempt.reached())
        if len(reached) == len(ordered):
            return reached
        lead = min(sum(moments) // len(moments) - now[_NO_TIMER], LATEST - _MARGIN)
    for timer in ordered:
        if timer.id not in reached:
            owners[timer.id].call("timer_settime", timer.id, 0, _OFF, 0)
    return reached


class _Attempt:
    """The timers of one owner, started in one batch."""

    def __init__(self, owner: Puppet, timers: Sequence[Wanted]) -> None:
        self._owner = owner
        self._timers = timers
        self._asked: list[tuple[Wanted, Buffer, Call, Call]] = []

    def run(self, start: Mapping[int, int]) -> int:
        """*start*: when each timer is to have expired first. Returns when the signals were taken (CLOCK_MONOTONIC)."""
        batch = Batch()
        at_once, a_while = batch.data(bytes(TIMESPEC.size)), batch.data(TIMESPEC.pack(0, _GIVE_UP))
        for timer in self._timers:  # what the attempt before has left
            batch.call("timer_settime", timer.id, 0, _OFF, 0, label=f"timer {timer.id} off")
            batch.call("rt_sigtimedwait", _set_of(timer), 0, at_once, _SIGSET_SIZE, must=False, label="drop")
        before, after = batch.buffer(TIMESPEC.size), batch.buffer(TIMESPEC.size)
        batch.call("clock_gettime", CLOCK_MONOTONIC, before)
        for timer in self._timers:
            numbers = (*divmod(timer.period, NSEC_PER_SEC), *divmod(start[timer.id], NSEC_PER_SEC))
            label = f"timer {timer.id}, in the past"
            batch.call("timer_settime", timer.id, TIMER_ABSTIME, ITIMERSPEC.pack(*numbers), 0, label=label)
            info = batch.buffer(SIGINFO_SIZE)
            taken = batch.call("rt_sigtimedwait", _set_of(timer), info, a_while, _SIGSET_SIZE, must=False, label="take")
            self._asked.append((timer, info, taken, batch.call("timer_getoverrun", timer.id)))
        batch.call("clock_gettime", CLOCK_MONOTONIC, after)
        self._owner.run(batch)
        return (_ns(before) + _ns(after)) // 2

    def reached(self) -> list[int]:
        """The IDs of the timers that have their overruns."""
        return [
            timer.id
            for timer, info, taken, overrun in self._asked
            if taken.ok and _timer_of(info.read()) == timer.id and overrun.value == timer.overrun
        ]


def _set_of(timer: Wanted) -> bytes:
    return bit(timer.signal).to_bytes(_SIGSET_SIZE, "little")


def _timer_of(info: bytes) -> int:
    return int.from_bytes(info[SIGINFO_TIMER_ID : SIGINFO_TIMER_ID + 4], "little", signed=True)
