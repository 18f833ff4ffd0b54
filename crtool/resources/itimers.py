"""Interval timers (getitimer(2)), and with them alarm(2).

The kernel keeps three for each process: in real time, in CPU time in user mode, and in all CPU time. Each has a value
(time left) and an interval.

We read them by getitimer, made by the process.

We rebuild them by setitimer. *Order:* after the actions and the signals pending for the process, before those pending
for its threads. A real-time timer with an interval rests while its SIGALRM is pending, and reads as a value of 0 with
an interval; setitimer would take that for "off". So it is set to expire at once: its signal is merged with the pending
one, and it rests again. The same is seen where SIGALRM was ignored when it expired: such a timer never goes on, and is
brought into that state too. To a timer in CPU time the kernel adds a tick, which is taken off before: a program that
is saved over and over keeps its time.

Lost: less than a microsecond; the phase of a timer that rests, which starts anew when its signal is delivered.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from crtool.abi.signals import SIG_IGN, SIGACTION, SIGALRM
from crtool.abi.time import (
    CLOCK_REALTIME_COARSE,
    ITIMER_PROF,
    ITIMER_REAL,
    ITIMER_VIRTUAL,
    ITIMERVAL,
    TIMESPEC,
    USEC_PER_SEC,
)
from crtool.puppet.batch import Batch
from crtool.record import dataclass

if TYPE_CHECKING:
    from crtool.puppet.hold import HeldProcess

__all__ = ["ItimerRecord", "dump", "restore"]

_ALL = (ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF)
_UNTIL_EXPIRED_NS = 200_000  # many times what an expired timer takes to be noticed
_SIGSET_SIZE = 8


@dataclass(frozen=True)
class ItimerRecord:
    """One timer; there are no records of those that are off."""

    which: int  # ITIMER_REAL, ITIMER_VIRTUAL or ITIMER_PROF
    value: int  # microseconds left; 0 for one that rests
    interval: int  # microseconds; 0 for a timer that expires once


def dump(process: HeldProcess, batch: Batch) -> Callable[[], tuple[ItimerRecord, ...]]:
    """Adds the questions; real time goes on meanwhile, so read the pending signals before and after."""
    buffers = {which: batch.buffer(ITIMERVAL.size) for which in _ALL}
    for which, buffer in buffers.items():
        batch.call("getitimer", which, buffer)

    def records() -> tuple[ItimerRecord, ...]:
        return tuple(_record(which, buffer.read()) for which, buffer in buffers.items() if any(buffer.read()))

    return records


def _record(which: int, raw: bytes) -> ItimerRecord:
    interval, interval_us, value, value_us = ITIMERVAL.unpack(raw)
    return ItimerRecord(which, value * USEC_PER_SEC + value_us, interval * USEC_PER_SEC + interval_us)


def restore(batch: Batch, records: tuple[ItimerRecord, ...], *, alarm_pending: bool) -> None:
    """Adds the calls, to be made by any one thread; *alarm_pending*: SIGALRM is pending for the process by now."""
    for record in records:
        resting = record.which == ITIMER_REAL and not record.value
        _set(batch, record, 1 if resting else _to_set(record))
        if resting:
            pause = batch.data(TIMESPEC.pack(0, _UNTIL_EXPIRED_NS))
            batch.call("nanosleep", pause, 0, label="until the timer has expired")
            if not alarm_pending:
                _drop_alarm(batch)


def _to_set(record: ItimerRecord) -> int:
    """The value, in µs, by which the timer gets its own: set_cpu_itimer() in kernel/time/itimer.c adds a tick."""
    if record.which == ITIMER_REAL or not record.value:
        return record.value
    tick = round(time.clock_getres(CLOCK_REALTIME_COARSE) * USEC_PER_SEC)
    return max(1, record.value - tick)


def _set(batch: Batch, record: ItimerRecord, value: int) -> None:
    numbers = (*divmod(record.interval, USEC_PER_SEC), *divmod(value, USEC_PER_SEC))
    batch.call("setitimer", record.which, ITIMERVAL.pack(*numbers), 0, label=f"interval timer {record.which}")


def _drop_alarm(batch: Batch) -> None:
    """Drops the signal that has just been sent, as it was dropped in the program: by ignoring it.

    Taking it from the queue instead would start the timer again.
    """
    old = batch.buffer(SIGACTION.size)
    ignore = SIGACTION.pack(SIG_IGN, 0, 0, 0)
    batch.call("rt_sigaction", SIGALRM, ignore, old, _SIGSET_SIZE, label="drop SIGALRM")
    batch.call("rt_sigaction", SIGALRM, old, 0, _SIGSET_SIZE, label="action of SIGALRM as before")
