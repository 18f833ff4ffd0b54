"""timerfd_create(2) and its kin."""

from __future__ import annotations

import fcntl
import struct

from crtool.kernel.syscall import memory_address, syscall

__all__ = ["TFD_TIMER_ABSTIME", "TFD_TIMER_CANCEL_ON_SET", "create", "gettime", "set_ticks", "settime"]

TFD_TIMER_ABSTIME = 1
TFD_TIMER_CANCEL_ON_SET = 2
_TFD_IOC_SET_TICKS = 0x40085400  # _IOW('T', 0, __u64), linux/timerfd.h
_ITIMERSPEC = struct.Struct("<qqqq")  # interval, value: seconds and nanoseconds each
_BILLION = 10**9


def create(clock: int, flags: int) -> int:
    """A new timer on CLOCK_* *clock*, disarmed."""
    return syscall("timerfd_create", clock, flags)


def gettime(fd: int) -> tuple[int, int]:
    """Nanoseconds until it expires (0 if it is disarmed), and of its interval.

    What the kernel has not counted yet of the expirations that were missed, it counts now.
    """
    buffer = bytearray(_ITIMERSPEC.size)
    syscall("timerfd_gettime", fd, memory_address(memoryview(buffer)))
    seconds, nanoseconds, value_seconds, value_nanoseconds = _ITIMERSPEC.unpack(buffer)
    return value_seconds * _BILLION + value_nanoseconds, seconds * _BILLION + nanoseconds


def settime(fd: int, flags: int, value: int, interval: int) -> None:
    """Sets it, in nanoseconds."""
    buffer = bytearray(_ITIMERSPEC.pack(*divmod(interval, _BILLION), *divmod(value, _BILLION)))
    syscall("timerfd_settime", fd, flags, memory_address(memoryview(buffer)), 0)


def set_ticks(fd: int, ticks: int) -> None:
    """Sets the number of expirations that can be read (since 3.17; not 0)."""
    fcntl.ioctl(fd, _TFD_IOC_SET_TICKS, ticks.to_bytes(8, "little"))
