"""x86-64: calls that wait for a limited time, and are made again: for what is left of it, not for all of it anew.

The kernel goes on with such a call by itself (restart_syscall(2)) only in the task that was stopped, and only with four
of them. To be told less time, a call needs nothing but other registers: those in which it is told milliseconds, and the
pointer to where the kernel has written what is left of a sleep, when the stop interrupted it. A call that is told by
a pointer to something else waits like poll(2) of nothing, or like its sibling that is told milliseconds.

Sources: nanosleep(2), clock_nanosleep(2), poll(2), epoll_wait(2); hrtimer_nanosleep() in kernel/time/hrtimer.c.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from crtool.abi.syscalls_x86_64 import NUMBERS
from crtool.arch.x86_64_registers import Peek, Registers

__all__ = ["is_limited", "shorten"]

_POLL, _NANOSLEEP, _CLOCK_NANOSLEEP, _RESTART, _EPOLL_WAIT, _EPOLL_PWAIT, _EPOLL_PWAIT2 = (
    NUMBERS[name]
    for name in (
        "poll", "nanosleep", "clock_nanosleep", "restart_syscall", "epoll_wait", "epoll_pwait", "epoll_pwait2",
    )
)  # fmt: skip
_TIMESPEC = struct.Struct("<qq")
_SECOND, _MILLISECOND = 10**9, 10**6  # nanoseconds
_MOST = (1 << 31) - 1  # milliseconds
_CPU_CLOCKS = (2, 3)  # CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID; those of others are negative


def is_limited(number: int, args: Sequence[int]) -> bool:
    """Whether :func:`shorten` has to know how long a task has been in that call, with those arguments."""
    if number in (_EPOLL_WAIT, _EPOLL_PWAIT):
        return 0 < args[3] & 0xFFFF_FFFF <= _MOST
    if number == _POLL:
        return 0 < args[2] & 0xFFFF_FFFF <= _MOST
    if number == _EPOLL_PWAIT2:
        return args[3] != 0
    if number == _NANOSLEEP:
        return args[1] == 0
    if number == _CLOCK_NANOSLEEP:
        return args[1] == 0 and args[3] == 0
    return number == _RESTART


def shorten(registers: Registers, waited: Callable[[], int | None], peek: Peek, *, as_another: bool) -> None:
    """Takes off the time that a call, which is about to be made again, has waited already.

    *waited*: for how many nanoseconds, rather less than more, if that is known. *peek* reads memory of the task.
    *as_another*: whether one call may become another, which a filter of seccomp might not allow.
    """
    values, number = registers.values, registers.number
    if number in (_EPOLL_WAIT, _EPOLL_PWAIT):
        _take_off(registers, "r10", waited)
    elif number == _POLL:
        _take_off(registers, "rdx", waited)
    elif number == _EPOLL_PWAIT2 and as_another and values["r10"]:
        if (left := _left(peek(values["r10"], _TIMESPEC.size), waited)) is not None:
            values.update(orig_rax=_EPOLL_PWAIT, r10=left)
    elif number in (_NANOSLEEP, _CLOCK_NANOSLEEP):
        told, rest = ("rdi", "rsi") if number == _NANOSLEEP else ("rdx", "r10")
        if number == _CLOCK_NANOSLEEP and (values["rsi"] or values["rdi"] in _CPU_CLOCKS or values["rdi"] >> 31):
            return  # until a moment, or of CPU time
        if values[rest]:
            if _nanoseconds(peek(values[rest], _TIMESPEC.size)):
                values[told] = values[rest]
        elif as_another and (left := _left(peek(values[told], _TIMESPEC.size), waited)) is not None:
            values.update(orig_rax=_POLL, rdi=0, rsi=0, rdx=left)


def _take_off(registers: Registers, name: str, waited: Callable[[], int | None]) -> None:
    """Of milliseconds in a register, an int."""
    limit = registers.values[name] & 0xFFFF_FFFF
    if 0 < limit <= _MOST and (time := waited()) is not None:
        registers.values[name] = _milliseconds(limit * _MILLISECOND - time)


def _left(limit: bytes | None, waited: Callable[[], int | None]) -> int | None:
    """Milliseconds that are left of a struct timespec; None if nobody knows, or they are too many."""
    total = _nanoseconds(limit)
    if total is None or (time := waited()) is None:
        return None
    left = _milliseconds(total - time)
    return left if left <= _MOST else None


def _nanoseconds(raw: bytes | None) -> int | None:
    if raw is None:
        return None
    seconds, nanoseconds = _TIMESPEC.unpack(raw)
    return seconds * _SECOND + nanoseconds if seconds >= 0 and 0 <= nanoseconds < _SECOND else None


def _milliseconds(nanoseconds: int) -> int:
    """Rounded up: nothing ends early."""
    return max(0, -(-nanoseconds // _MILLISECOND))
