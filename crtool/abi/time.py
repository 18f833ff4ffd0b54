"""Clocks and timers: numbers and structures (include/uapi/linux/time.h, siginfo.h; include/linux/posix-timers.h)."""

from __future__ import annotations

import struct

CLOCK_REALTIME = 0
CLOCK_MONOTONIC = 1
CLOCK_PROCESS_CPUTIME_ID = 2
CLOCK_THREAD_CPUTIME_ID = 3
CLOCK_REALTIME_COARSE = 5  # its resolution is the kernel's tick
CLOCK_BOOTTIME = 7
CLOCK_REALTIME_ALARM = 8
CLOCK_BOOTTIME_ALARM = 9
CLOCK_TAI = 11

# A clock that measures CPU time has a negative number: ~pid << 3, plus these. With pid 0 it is the caller's own.
CPUCLOCK_PERTHREAD = 4
CPUCLOCK_KIND = 3  # mask: CPUCLOCK_PROF 0, CPUCLOCK_VIRT 1, CPUCLOCK_SCHED 2; 3 is a clock device, not a CPU clock

ITIMER_REAL = 0
ITIMER_VIRTUAL = 1
ITIMER_PROF = 2

TIMER_ABSTIME = 1

SIGEV_SIGNAL = 0
SIGEV_NONE = 1
SIGEV_THREAD = 2
SIGEV_THREAD_ID = 4

NSEC_PER_SEC = 1_000_000_000
USEC_PER_SEC = 1_000_000

TIMESPEC = struct.Struct("<qq")  # seconds, nanoseconds
ITIMERSPEC = struct.Struct("<qqqq")  # interval, value: seconds and nanoseconds each
ITIMERVAL = struct.Struct("<qqqq")  # interval, value: seconds and microseconds each
SIGEVENT = struct.Struct("<Qiii44x")  # sigev_value, sigev_signo, sigev_notify, sigev_notify_thread_id


def cpu_clock_owner(clockid: int) -> int:
    """The PID or TID whose CPU time *clockid*, which is negative, measures; 0 for the caller's own."""
    return ~(clockid >> 3)


def cpu_clock_of(clockid: int, owner: int) -> int:
    """The clock of the same kind as the CPU clock *clockid* that measures *owner*, a PID or TID."""
    return (~owner << 3) | (clockid & (CPUCLOCK_PERTHREAD | CPUCLOCK_KIND))
