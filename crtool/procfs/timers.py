"""/proc/PID/timers: the POSIX timers of a process.

Spec: proc_pid_timers(5); show_timer() in the kernel's fs/proc/base.c. Needs a kernel with CONFIG_CHECKPOINT_RESTORE.
Four lines per timer, newest first (no kernel promises that):

    ID: 1
    signal: 60/00007fff86e452a8
    notify: signal/tid.2634
    ClockID: 0

What it does not show (settings, remaining time, overruns) only the process itself can ask.
"""

from __future__ import annotations

import enum

from crtool.procfs.error import ProcfsError
from crtool.record import dataclass

__all__ = ["Notify", "Timer", "parse"]

_KEYS = (b"ID", b"signal", b"notify", b"ClockID")


class Notify(enum.IntEnum):
    """How an expiration is told; values of sigev_notify without the bit SIGEV_THREAD_ID."""

    SIGNAL = 0
    NONE = 1
    THREAD = 2  # to the kernel the same as SIGNAL; C libraries use SIGNAL to a thread of theirs


_NOTIFY = {b"signal": Notify.SIGNAL, b"none": Notify.NONE, b"thread": Notify.THREAD}
_TO_THREAD = {b"pid": False, b"tid": True}


@dataclass(frozen=True)
class Timer:
    """One timer."""

    id: int  # as timer_settime(2) takes it
    signal: int  # number; also there for Notify.NONE
    value: int  # sival_ptr that comes with the signal
    notify: Notify
    to_thread: bool  # SIGEV_THREAD_ID: the signal goes to one thread
    target: int  # that thread, else the process; 0 if it has ended
    clockid: int  # CLOCK_*; negative for CPU clocks of a process or thread and for clock devices

    @property
    def sigev_notify(self) -> int:
        """sigev_notify as timer_create(2) takes it."""
        return self.notify | (4 if self.to_thread else 0)  # SIGEV_THREAD_ID is 4


def parse(data: bytes) -> tuple[Timer, ...]:
    """The timers in the order of the file; ProcfsError with the timer that has another form."""
    lines = data.split(b"\n")
    if not lines[-1]:
        del lines[-1]
    return tuple(_timer(lines[at : at + len(_KEYS)]) for at in range(0, len(lines), len(_KEYS)))


def _timer(lines: list[bytes]) -> Timer:
    try:
        keys, values = zip(*(line.split(b": ") for line in lines), strict=True)
        if keys != _KEYS:
            raise ValueError
        identity, sent, notify, clockid = values
        signal, value = sent.split(b"/")
        how, target = notify.split(b"/")
        scope, number = target.split(b".")
        return Timer(
            id=int(identity),
            signal=int(signal),
            value=int(value, 16),
            notify=_NOTIFY[how],
            to_thread=_TO_THREAD[scope],
            target=int(number),
            clockid=int(clockid),
        )
    except (ValueError, KeyError):
        raise ProcfsError("timers", b"\n".join(lines)) from None
