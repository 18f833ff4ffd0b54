"""When a thread ran last, by the clock of the scheduler.

/proc/PID/task/TID/sched tells it as ``se.exec_start``, in milliseconds of a clock that each CPU has for itself: time
that a hypervisor or interrupts took is left out of it (rq_clock_task() in kernel/sched). So a thread of ours that
runs on that CPU is asked the same, and what CLOCK_MONOTONIC says at that moment.

Source: proc_sched_show_task() in kernel/sched/debug.c, update_curr() in kernel/sched/fair.c.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress

__all__ = ["RunClock", "parse"]

_FIELD = b"se.exec_start"
_LOOKS = 3  # of which the one counts that was interrupted least


def parse(text: bytes) -> int | None:
    """Nanoseconds of the CPU's own clock, from the text of a ``sched`` file; None if it does not tell."""
    at = text.find(_FIELD)
    words = text[at : at + 100].split(None, 3) if at >= 0 else []
    try:
        whole, _, part = words[2].partition(b".")
        return int(whole) * 1_000_000 + int(part.ljust(6, b"0")) or None
    except (IndexError, ValueError):
        return None


class RunClock:
    """The clocks of all CPUs, each compared once, when it is asked for first."""

    def __init__(self) -> None:
        self._differences: dict[int, int | None] = {}  # by CPU

    def monotonic(self, cpu: int, moment: int) -> int | None:
        """The CLOCK_MONOTONIC, in nanoseconds, of a moment of *cpu*'s clock, or later; None if that cannot be told."""
        if cpu not in self._differences:
            self._differences[cpu] = self._compare(cpu)
        difference = self._differences[cpu]
        return None if difference is None else moment + difference

    @staticmethod
    def _compare(cpu: int) -> int | None:
        allowed = os.sched_getaffinity(0)
        try:
            os.sched_setaffinity(0, (cpu,))
        except OSError:
            return None  # it is gone, or not ours
        try:
            found = []
            for _ in range(_LOOKS):
                os.sched_yield()  # which writes down the time
                with suppress(OSError), open("/proc/thread-self/sched", "rb") as file:
                    if (moment := parse(file.read())) is not None:
                        found.append(time.monotonic_ns() - moment)
            return min(found, default=None)
        finally:
            os.sched_setaffinity(0, allowed)
