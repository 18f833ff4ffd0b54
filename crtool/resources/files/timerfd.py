"""Timers that are read (timerfd_create(2)).

The kernel keeps the clock, when the timer expires next, its interval, how it was set (to an absolute time; to be told
when the clock is set), and how many expirations have not been read.

We ask a borrowed descriptor for the time that is left, which makes the kernel count all expirations up to now, and read
them and the rest from fdinfo.

We rebuild it by timerfd_create(2) and timerfd_settime(2), and give it its expirations by TFD_IOC_SET_TICKS (since
3.17). One that was set to a time span goes on with what is left of it. One that was set to an absolute time keeps that
time, and expires at once if it has passed; only where the clock has gone back since, as another boot sets
CLOCK_MONOTONIC back, it too goes on with what is left.

Lost: that the clock was set while nobody read (ECANCELED), for a timer that is to be told so: it wakes its reader as if
it had expired. The kernel counts both alike (timerfd_clock_was_set() in fs/timerfd.c), so there is a warning only where
a timer has counted more than it can have expired; one with an interval may have expired any number of times.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from itertools import count

from crtool.errors import EnvironmentDiffers
from crtool.kernel import timerfd
from crtool.procfs.fdinfo import parse
from crtool.procfs.fdinfo_kinds import Timerfd
from crtool.procfs.fdinfo_kinds import timerfd as timer_of
from crtool.procfs.read import read
from crtool.record import dataclass
from crtool.resources.files.openfile import OpenFile

__all__ = ["TimerfdRecord", "dump", "recognise", "restore"]

_LINK = b"anon_inode:[timerfd]"
# Nanoseconds, and looks: crtool may not get the CPU for all of that time. A timer that is disarmed costs them.
_ONCE = (50_000, 2)
_AGAIN = (5_000_000, 30)  # one that is disarmed but has an interval, which hardly exists
_ALARMS = {8: time.CLOCK_REALTIME, 9: time.CLOCK_BOOTTIME}  # CLOCK_*_ALARM and the clock that they follow


@dataclass(frozen=True)
class TimerfdRecord:
    """A timer."""

    clock: int  # CLOCK_*
    set_flags: int  # TFD_TIMER_* of the last timerfd_settime
    left: int  # nanoseconds until it expires next, 0 if it is disarmed
    interval: int  # nanoseconds, 0: once
    ticks: int  # expirations that have not been read
    now: int  # nanoseconds: what its clock showed then
    flags: int  # O_* as fcntl(F_GETFL) gives them


def recognise(file: OpenFile) -> bool:
    """Whether *file* is a timer."""
    return file.link == _LINK


def dump(file: OpenFile, lost: Callable[[OpenFile, str], None]) -> TimerfdRecord:
    """The record of *file*; *lost* is told what does not come back."""
    left, interval, timer = _settled(file.local)
    expired = 0 if left else 1
    if timer.settime_flags & timerfd.TFD_TIMER_CANCEL_ON_SET and not interval and timer.ticks > expired:
        lost(file, "that the clock was set while a timer waited (ECANCELED; it will seem to have expired)")
    return TimerfdRecord(
        clock=timer.clockid,
        set_flags=timer.settime_flags,
        left=left,
        interval=interval,
        ticks=timer.ticks,
        now=_now(timer.clockid),
        flags=file.flags,
    )


def _settled(fd: int) -> tuple[int, int, Timerfd]:
    """What is left, the interval, and the fdinfo of one and the same moment.

    Between the moment when a timer is due and the interrupt that notes it the kernel says that nothing is left, as of
    one that is disarmed, and its expiration is not counted yet (timerfd_get_remaining() in fs/timerfd.c). So whoever
    says so without having expired is asked again for as long as an interrupt may be late; and all is read anew if it
    expired between the two readings.
    """
    start = time.monotonic_ns()
    running = None
    for looks in count(1):
        left, interval = timerfd.gettime(fd)
        found = left, interval, timer_of(parse(read(os.getpid(), f"fdinfo/{fd}")))
        if left:
            running = found
            if 0 < timerfd.gettime(fd)[0] <= left:
                return found
        elif not interval and found[2].ticks:
            return found  # it has expired once and for all
        late, least = _AGAIN if interval else _ONCE
        if looks >= least and time.monotonic_ns() - start > late:
            break
    return running or found  # it beats faster than it can be read, or it is disarmed


def _now(clock: int) -> int:
    return time.clock_gettime_ns(_ALARMS.get(clock, clock))


def restore(record: TimerfdRecord) -> int:
    """A new timer like it, running."""
    try:
        fd = timerfd.create(record.clock, os.O_CLOEXEC | record.flags & os.O_NONBLOCK)
    except OSError as error:
        remedy = "run crtool with CAP_WAKE_ALARM" if error.errno == errno.EPERM else None
        raise EnvironmentDiffers(f"a timer on clock {record.clock}: {os.strerror(error.errno or 0)}", remedy) from None
    value = record.left
    if value and record.set_flags & timerfd.TFD_TIMER_ABSTIME:
        now = _now(record.clock)
        value += record.now if now >= record.now else now
    timerfd.settime(fd, record.set_flags, value, record.interval)
    if record.ticks:
        timerfd.set_ticks(fd, record.ticks)
    return fd
